"""What was delivered to the service, where it outlives the agent."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from agent.runtime.files import write_atomically


class Delivered:
    """The values that were delivered last, as they are written in KV: a reference to a secret, never the secret.

    A stamp tells whether values, secrets included, are those that the service was told of. It is salted, so that a
    short secret can't be looked up by it, and only this instance can compare it.
    """

    def __init__(self, file: Path | None) -> None:
        """``file`` None: nothing outlives the agent."""
        self._file = file
        self._salt = secrets.token_hex(16)
        self.values: Mapping[str, str] = {}
        """The last good ones by key."""
        self.told = self.stamp({})
        """The stamp of what the service was told of; empty: it has to be told, whatever is delivered."""

    def stamp(self, values: Mapping[str, str]) -> str:
        """Names these values."""
        return hashlib.sha256((self._salt + json.dumps(dict(values), sort_keys=True)).encode()).hexdigest()

    def load(self) -> None:
        """Take in what an earlier agent left beside a service that still runs.

        What can't be read counts for nothing delivered: that service is told once more than necessary.
        """
        try:
            outer = json.loads(self._file.read_bytes()) if self._file is not None else {}
            if hashlib.sha256(outer["body"].encode()).hexdigest() != outer["hash"]:
                return
            body = json.loads(outer["body"])
            values = {str(key): str(value) for key, value in body["values"].items()}
            salt, told = str(body["salt"]), str(body["told"])
        except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return
        self.values, self._salt, self.told = values, salt, told

    def keep(self, values: Mapping[str, str], stamp: str) -> None:
        """The service was told of these values. Raises OSError."""
        self._write(values, stamp)
        self.values, self.told = values, stamp

    def unsettle(self, values: Mapping[str, str]) -> None:
        """They were delivered, and the service was not told yet: an agent that comes now has to. Raises OSError."""
        self._write(values, "")
        self.values = values

    def _write(self, values: Mapping[str, str], told: str) -> None:
        if self._file is None:
            return
        body = json.dumps({"salt": self._salt, "told": told, "values": dict(values)}, sort_keys=True)
        outer = {"hash": hashlib.sha256(body.encode()).hexdigest(), "body": body}
        content = json.dumps(outer).encode()
        if not self._file.exists() or self._file.read_bytes() != content:
            write_atomically(self._file, content, 0o600)
