"""A PostgreSQL snapshot as a value: which transactions are visible in it."""

import msgspec


# Compared and hashed for each of 64 buckets at every turn.
class Snapshot(msgspec.Struct, frozen=True, cache_hash=True):
    """``pg_snapshot``: every transaction below ``xmax`` that is not in ``xip`` is visible.

    Snapshots of one server are ordered by time: a later one sees all that an earlier one sees
    (PostgreSQL documentation, "Transaction ID and Snapshot Information Functions").
    """

    xmin: int
    xmax: int
    xip: tuple[int, ...] = ()
    """Transactions in progress, ascending, each at least ``xmin`` and below ``xmax``."""

    @classmethod
    def parse(cls, text: str) -> "Snapshot":
        """Read PostgreSQL's text form ``xmin:xmax:xip,…``."""
        xmin, xmax, xip = text.split(":")
        return cls(int(xmin), int(xmax), tuple(int(each) for each in xip.split(",") if each))

    def sees(self, xid: int) -> bool:
        """Whether what this transaction wrote is visible."""
        return xid < self.xmax and (xid < self.xmin or xid not in self.xip)

    def without(self, xid: int) -> "Snapshot":
        """The same, but blind to this transaction: PostgreSQL leaves out the one that takes the snapshot."""
        if xid >= self.xmax or xid in self.xip:
            return self
        return Snapshot(min(self.xmin, xid), self.xmax, tuple(sorted((*self.xip, xid))))

    @property
    def age(self) -> tuple[int, int]:
        """A key by which snapshots of one server sort from the oldest to the newest."""
        return self.xmax, -len(self.xip)

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.xip))}"
