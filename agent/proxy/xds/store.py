"""The last good snapshot on disk, so that an agent's restart never empties a running Envoy."""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog

from agent.proxy.snapshot import Packed, Part, Resource, Snapshot, kept, packed
from agent.runtime import files

log = structlog.get_logger(__name__)


class _Kept(msgspec.Struct):
    clusters: dict[str, Resource]
    endpoints: dict[str, msgspec.Raw]
    listeners: dict[str, Resource]
    routes: dict[str, Resource]
    refused: list[str] = []


@dataclass(frozen=True)
class Good:
    """A snapshot that Envoy accepted, but for the endpoints of these names."""

    snapshot: Snapshot
    refused: tuple[str, ...] = ()


_RESOURCE = msgspec.json.Decoder(dict[str, Any])


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
            found = msgspec.json.decode(body, type=_Kept)
            endpoints = {name: packed(_RESOURCE.decode(text)) for name, text in found.endpoints.items()}
        except msgspec.DecodeError as error:
            log.warning("snapshot.damaged", file=str(self._path), error=str(error))
            return None
        snapshot = Snapshot(found.clusters, Packed(endpoints), found.listeners, found.routes)
        return Good(snapshot, tuple(found.refused))

    def save(self, good: Good) -> None:
        """Replace the kept snapshot at once. Raises OSError when the disk does not take it."""
        one = good.snapshot
        whole = {
            "clusters": _written(one.clusters),
            "endpoints": _written(one.endpoints),
            "listeners": _written(one.listeners),
            "routes": _written(one.routes),
            "refused": good.refused,
        }
        with self._saving:
            body = msgspec.json.encode(whole)
            files.write_atomically(self._path, _seal(body) + b"\n" + body)


def _written(part: Part) -> dict[str, Resource | msgspec.Raw]:
    return {name: msgspec.Raw(one) if isinstance(one, bytes) else one for name, one in kept(part).items()}


def _seal(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
