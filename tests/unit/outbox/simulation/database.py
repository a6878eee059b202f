"""Rows as PostgreSQL's snapshots see them, a log that is flushed late, and crashes that take back what was not.

After a crash numbers of transactions and of rows come again: both counters go on from what the flushed log
knows (PostgreSQL documentation, "Asynchronous Commit", "Transactions and Identifiers").
"""

from dataclasses import dataclass, field

from agent.outbox.snapshot import Snapshot


class GoneError(Exception):
    """The session ended with the server."""


@dataclass(frozen=True)
class Row:
    """One row of the outbox table."""

    id: int
    xid: int
    bucket: int
    key: str
    version: int
    token: str


@dataclass(eq=False)
class Transaction:
    """A transaction of the service. Its number is taken when it first writes."""

    life: int
    xid: int = 0
    rows: list[Row] = field(default_factory=list)


class Database:
    """One table and its log. ``life`` rises with every crash."""

    def __init__(self) -> None:
        self.life = 0
        self.rows: list[Row] = []
        """Committed ones."""
        self.flushed = 0
        self._log: list[tuple[int, int, Transaction | None]] = []
        """Highest transaction number, highest row number, and what was committed, of each record."""
        self._next_xid, self._next_id, self._completed = 3, 1, 2
        self._running: set[int] = set()
        self._prepared: list[Transaction] = []

    @property
    def inserted(self) -> int:
        """Where the log stands."""
        return len(self._log)

    def begin(self) -> Transaction:
        return Transaction(self.life)

    def number(self, transaction: Transaction) -> int:
        """The transaction's number, taken now if it has none."""
        self._check(transaction)
        if not transaction.xid:
            transaction.xid = self._take()
            self._running.add(transaction.xid)
        return transaction.xid

    def savepoint(self) -> None:
        """A savepoint that writes takes a number of its own, which no row carries and no snapshot lists."""
        self._completed = max(self._completed, self._take())

    def insert(self, transaction: Transaction, bucket: int, key: str, token: str) -> Row:
        """Write a row; the key's next version. The caller holds the key's lock."""
        xid = self.number(transaction)
        version = max((row.version for row in self.rows if row.key == key), default=0) + 1
        row = Row(self._next_id, xid, bucket, key, version, token)
        self._next_id += 1
        transaction.rows.append(row)
        self._write(None)
        return row

    def prepare(self, transaction: Transaction) -> None:
        """First half of a two-phase commit: from here on it survives a crash."""
        self._check(transaction)
        self.number(transaction)
        self._prepared.append(transaction)
        self._write(None)
        self.flush()

    def commit(self, transaction: Transaction, *, hasty: bool) -> None:
        """Make it visible; unless ``hasty`` it is on disk then."""
        self._check(transaction)
        if not transaction.xid:
            return
        self.rows += transaction.rows
        self._end(transaction)
        self._write(transaction)
        if not hasty:
            self.flush()

    def roll_back(self, transaction: Transaction) -> None:
        """Forget it; its numbers are used up."""
        if transaction.life == self.life and transaction.xid:
            self._end(transaction)

    def save(self) -> None:
        """A synchronous commit of the relay's own."""
        self._completed = max(self._completed, self._take())
        self._write(None)
        self.flush()

    def flush(self) -> None:
        self.flushed = len(self._log)

    def snapshot(self) -> Snapshot:
        """``pg_current_snapshot()``: its xmax is behind the newest transaction that *ended*."""
        top = self._completed + 1
        running = tuple(sorted(xid for xid in self._running if xid < top))
        return Snapshot(min(running, default=top), top, running)

    def crash(self) -> None:
        """End every session but what is prepared, and take back what is not flushed."""
        self.life += 1
        lost = {id(each) for _, _, each in self._log[self.flushed :] if each is not None}
        kept = [each for _, _, each in self._log if each is not None and id(each) not in lost]
        self.rows = [row for each in kept for row in each.rows]
        self._log = self._log[: self.flushed]
        self._next_xid = max((xid for xid, _, _ in self._log), default=2) + 1
        self._next_id = max((number for _, number, _ in self._log), default=0) + 1
        self._completed = self._next_xid - 1
        for each in self._prepared:
            each.life = self.life
        self._running = {each.xid for each in self._prepared}

    def _take(self) -> int:
        self._next_xid += 1
        return self._next_xid - 1

    def _end(self, transaction: Transaction) -> None:
        if transaction in self._prepared:
            self._prepared.remove(transaction)
        self._running.discard(transaction.xid)
        self._completed = max(self._completed, transaction.xid)

    def _write(self, committed: Transaction | None) -> None:
        self._log.append((self._next_xid - 1, self._next_id - 1, committed))

    def _check(self, transaction: Transaction) -> None:
        if transaction.life != self.life:
            raise GoneError
