"""The configuration that the registry's KV holds for this service."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One value."""

    index: int
    """Rises or falls with every change of this key; compare it for equality only. Never 0."""
    value: bytes
    shared: bool = False
    """It comes from ``config/_shared/``, not from the service's own folder."""


@dataclass(frozen=True)
class Store:
    """All keys below ``config/<service>/`` and, where the service has none of that name,
    ``config/_shared/``."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    """By key below the folder, such as ``feature/limit``."""
    index: int = 0
    """The highest index of its entries, 0 when there are none; compare it for equality only."""

    def get(self, key: str) -> tuple[int, bytes | None]:
        """The key's index and value; ``(0, None)`` for a key that does not exist.

        A long poll that was given an index waits until the index here differs from it: after Consul lost its
        data an index can be lower than before.
        """
        entry = self.entries.get(key)
        return (0, None) if entry is None else (entry.index, entry.value)
