"""The last good snapshot on disk, so that an agent's restart never empties a running Envoy."""

import hashlib
import threading
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


class SnapshotStore:
    """One file: a line with the hash of the rest, then the snapshot as JSON.

    Its methods block; what is saved last from several threads is what stays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saving = threading.Lock()

    def load(self) -> Snapshot | None:
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
        return Snapshot(kept.clusters, kept.endpoints, kept.listeners, kept.routes)

    def save(self, snapshot: Snapshot) -> None:
        """Replace the kept snapshot at once. Raises OSError when the disk does not take it."""
        kept = _Kept(
            dict(snapshot.clusters), dict(snapshot.endpoints), dict(snapshot.listeners), dict(snapshot.routes)
        )
        with self._saving:
            body = msgspec.json.encode(kept)
            files.write_atomically(self._path, _seal(body) + b"\n" + body)


def _seal(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
