"""How far a partition of Kafka has been done with. Pure.

Kafka remembers one offset of a partition: that of the first message to read again. Messages are done in any order, so
it is that of the first one that is open.
"""


class Offsets:
    """Of one partition."""

    def __init__(self, start: int) -> None:
        """``start`` is the offset of the next message."""
        self._next = start
        self._open: set[int] = set()

    def came(self, offset: int) -> bool:
        """A message came; False if it is open already."""
        if offset in self._open:
            return False
        self._open.add(offset)
        self._next = offset + 1
        return True

    def done(self, offset: int) -> None:
        """It is done with."""
        self._open.discard(offset)

    @property
    def open(self) -> int:
        """How many are open."""
        return len(self._open)

    @property
    def position(self) -> int:
        """What Kafka is to remember."""
        return min(self._open | {self._next})
