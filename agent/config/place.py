"""Where an agent keeps what outlives it: one folder each, and the files in it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.config.settings import Settings

LONGEST_SOCKET = 107
"""Bytes of a unix socket's path that Linux takes."""


@dataclass(frozen=True)
class Place:
    """The state folder of one agent."""

    folder: Path
    shared: bool = False
    """The sockets are in a folder of their own, which an Envoy of another user may enter."""

    @classmethod
    def of(cls, settings: Settings, environ: Mapping[str, str], kind: str = "") -> "Place":
        """``state.dir``, else below the user's state folder (``XDG_STATE_HOME``) by service and port.

        ``kind`` tells agents apart that stand beside no service, such as ``gateway``.
        """
        shared = bool(settings.proxy.xds_group)
        if settings.state.dir:
            return cls(Path(settings.state.dir), shared)
        home = Path(environ.get("HOME") or "/")
        base = Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state")
        name = kind or f"{settings.service.name or 'service'}-{settings.service.port}"
        return cls(base / "pillion" / name, shared)

    @property
    def sockets(self) -> Path:
        """The folder of both sockets."""
        return self.folder / "envoy" if self.shared else self.folder

    @property
    def longest_socket(self) -> int:
        """Bytes of the longer one of the sockets' paths; at most ``LONGEST_SOCKET`` can be."""
        return max(len(os.fsencode(path.absolute())) for path in (self.xds, self.admin))

    @property
    def ports(self) -> Path:
        """The ports that were chosen."""
        return self.folder / "ports.json"

    @property
    def catalog(self) -> Path:
        """The catalogue that was known last."""
        return self.folder / "catalog.json"

    @property
    def overrides(self) -> Path:
        """The live override that was accepted last."""
        return self.folder / "overrides.yaml"

    @property
    def store(self) -> Path:
        """The configuration from KV that was read last; it may hold secrets."""
        return self.folder / "store.json"

    @property
    def delivered(self) -> Path:
        """What of it was delivered to the service."""
        return self.folder / "delivered.json"

    @property
    def snapshot(self) -> Path:
        """The configuration that Envoy accepted last."""
        return self.folder / "snapshot.json"

    @property
    def bootstrap(self) -> Path:
        """What Envoy is started with."""
        return self.folder / "bootstrap.json"

    @property
    def xds(self) -> Path:
        """The socket on which Envoy asks for its configuration."""
        return self.sockets / "xds.sock"

    @property
    def admin(self) -> Path:
        """Envoy's admin socket."""
        return self.sockets / "admin.sock"

    @property
    def lock(self) -> Path:
        """Held while an agent uses the folder."""
        return self.folder / "lock"
