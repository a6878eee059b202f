"""The last good snapshot on disk, so that an agent's restart never empties a running Envoy."""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from agent.proxy.snapshot import Resource, Snapshot
from agent.runtime import files

log = structlog.get_logger(__name__)


class _Kept(msgspec.Struct):
    clusters: dict[str, Resource]
    endpoints: dict[str, Resource]
    listeners: dict[str, Resource]
    routes: dict[str, Resource]
    refused: list[str] = []


@dataclass(frozen=True)
class Good:
    """A snapshot that Envoy accepted, but for the endpoints of these names."""

    snapshot: Snapshot
    refused: tuple[str, ...] = ()


class SnapshotStore:
    """One file: a line with the hash of the rest, then the snapshot as JSON.

    Its methods block; what is saved last from several threads is what stays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saving = threading.Lock()

    def load(self) -> Good | None:
        """The kept snapshot; None when there is none or when it is not whole (which is logged)."""
        try:
            seal, _, body = self._path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("snapshot.unreadable", file=str(self._path), error=str(error))
            return None
        if seal != _seal(body):
            log.warning("snapshot.damaged", file=str(self._path), error="its contents do not match its hash")
            return None
        try:
            kept = msgspec.json.decode(body, type=_Kept)
        except msgspec.DecodeError as error:
            log.warning("snapshot.damaged", file=str(self._path), error=str(error))
            return None
        snapshot = Snapshot(kept.clusters, kept.endpoints, kept.listeners, kept.routes)
        return Good(snapshot, tuple(kept.refused))

    def save(self, good: Good) -> None:
        """Replace the kept snapshot at once. Raises OSError when the disk does not take it."""
        one = good.snapshot
        kept = _Kept(
            dict(one.clusters), dict(one.endpoints), dict(one.listeners), dict(one.routes), list(good.refused)
        )
        with self._saving:
            body = msgspec.json.encode(kept)
            files.write_atomically(self._path, _seal(body) + b"\n" + body)


def _seal(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
