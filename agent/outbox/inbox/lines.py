"""Messages in the order of their keys: of each key one at a time. Pure."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Lines(Generic[T]):
    """A line a key."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[T]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, key: str, item: T) -> bool:
        """Put the item at the end of its key's line; whether it is the only one, and so may be worked on now."""
        line = self._lines.setdefault(key, deque())
        line.append(item)
        return len(line) == 1

    def first(self, key: str) -> T | None:
        """The item at the head of the key's line."""
        line = self._lines.get(key)
        return line[0] if line else None

    def finish(self, key: str) -> T | None:
        """The head is done with; the next of the key, None where there is none."""
        line = self._lines[key]
        line.popleft()
        if line:
            return line[0]
        del self._lines[key]
        return None
