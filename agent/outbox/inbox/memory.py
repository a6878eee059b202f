"""What this process knows by itself, beyond a connection and a lease."""

from collections import OrderedDict


class Memory:
    """The last messages that the service has done, each with whether that is recorded.

    A message whose record did not get through, because the database was away or the partition moved, may be handed out
    here again: then it is recorded, and the service not asked a second time.
    """

    def __init__(self, size: int = 50_000) -> None:
        self._size = size
        self._done: OrderedDict[bytes, bool] = OrderedDict()

    def did(self, digest: bytes) -> None:
        """The service has done it."""
        self._done.setdefault(digest, False)
        while len(self._done) > self._size:
            self._done.popitem(last=False)

    def recorded(self, digest: bytes) -> None:
        """And that is on record."""
        if digest in self._done:
            self._done[digest] = True

    def knows(self, digest: bytes) -> bool:
        """Whether the service has done it."""
        return digest in self._done

    def owes(self, digest: bytes) -> bool:
        """Whether that is still to be recorded."""
        return self._done.get(digest) is False
