"""Real Consul as a day needs it: it keeps its data over a kill, can lose it, and may let in only who has a token."""

import json
import shutil
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from agent.demo import backing
from tests.acl import RULES
from tests.integration.registry.servers import Member

ALONE = {"server": True, "bootstrap_expect": 1, "performance": {"raft_multiplier": 1}}


class Asked:
    """Asks a Consul; raises OSError for a refusal or when nobody answers within 5 s."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self.token = token

    def raw(self, path: str, body: bytes | None = None, method: str = "GET") -> bytes:
        """The answer as it is."""
        request = urllib.request.Request(self.url + path, data=body, method=method)
        if self.token:
            request.add_header("X-Consul-Token", self.token)
        with backing.direct().open(request, timeout=5) as answer:
            found: bytes = answer.read()
            return found

    def ask(self, path: str, body: Any = None, method: str = "GET") -> Any:
        """The answer's JSON."""
        data = None if body is None else json.dumps(body).encode()
        return json.loads(self.raw(path, data, method) or b"null")

    def states(self, service: str) -> list[list[str]]:
        """Of each instance of a service the states of all its checks."""
        return [
            [check["Status"] for check in row["Checks"]] for row in self.ask(f"/v1/health/service/{service}")
        ]


class Kept(Member, Asked):
    """A single server with its data on disk."""

    def __init__(self, folder: Path, *, acl: bool) -> None:
        self.acl = acl
        self._folder = folder
        management = str(uuid.uuid4()) if acl else ""
        ports: dict[str, int] = {}
        for name in ("http", "server", "serf_lan", "serf_wan"):
            ports[name] = -1 if name == "serf_wan" else backing.free_port(ports.values())
        guarded = {
            "enabled": True,
            "default_policy": "deny",
            "tokens": {"initial_management": management, "agent": management},
        }
        Member.__init__(self, folder, "alone", ports, [], **ALONE, **({"acl": guarded} if acl else {}))
        Asked.__init__(self, f"http://127.0.0.1:{ports['http']}", management)

    def _serves(self) -> bool:
        """Led, and with its own node in the catalogue; also for the holder of its token."""
        return super()._serves() and bool(self.ask("/v1/catalog/nodes"))

    def prepare(self) -> None:
        """Make the policy that tokens get, if any are needed."""
        if self.acl:
            self.ask("/v1/acl/policy", {"Name": "pillion", "Rules": RULES}, "PUT")

    def grant(self, secret: str = "") -> tuple[str, str]:
        """A token with the rights of an agent, ``secret`` if it is given: its id for ``revoke``, and its secret."""
        wanted = {"SecretID": secret} if secret else {}
        made = self.ask("/v1/acl/token", {"Policies": [{"Name": "pillion"}], **wanted}, "PUT")
        return made["AccessorID"], made["SecretID"]

    def revoke(self, accessor: str) -> None:
        """Delete a token."""
        self.ask(f"/v1/acl/token/{accessor}", method="DELETE")

    def wipe(self) -> None:
        """Lose everything; only while it is stopped."""
        shutil.rmtree(self._folder / "data")

    def save(self) -> bytes:
        """The whole state, for ``put_back``."""
        return self.raw("/v1/snapshot")

    def put_back(self, state: bytes) -> None:
        """Return to a state that was saved."""
        self.raw("/v1/snapshot", state, "PUT")
