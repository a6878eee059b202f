"""In which database a feed is: the one that it was prepared in, its successor, or a copy.

Transactions' numbers mean something within one PostgreSQL cluster only. A restored dump brings rows and positions
with the numbers of another one, and so does pg_upgrade, but that keeps the counter too.
"""

# ruff: noqa: S608 - names are quoted by names.identifier, values are parameters or quoted by names.literal

from dataclasses import dataclass

from agent.outbox.database import Connection
from agent.outbox.names import identifier
from agent.runtime.errors import Permanent

TIMELINE = "('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int"
"""The timeline of the log as SQL, another after each failover; what the control file tells of it may be older."""

_SERVER = (
    f"SELECT system_identifier::text AS system, {TIMELINE} AS timeline, "
    "pg_postmaster_start_time()::text AS started FROM pg_control_system()"
)

RESTORED = "`pillion outbox adopt --restored`"
UPGRADED = "`pillion outbox adopt --pg-upgraded`"


class ForeignError(Permanent):
    """The feed is in another database than the one that it was prepared in; nothing may be read or moved."""


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL."""

    system: str
    """The cluster's system identifier."""
    timeline: int
    started: str
    """When it was started, as text."""


@dataclass(frozen=True)
class Home:
    """What is recorded of a feed, and where it is found now."""

    system: str
    timeline: int | None
    """None: no relay has had it yet."""
    copied: bool
    """Pillion's tables are not those that were prepared: they were restored from a dump."""
    history: int
    adopted: tuple[int, ...]
    """The highest row number at each time that the feed was adopted after a restore."""
    server: Server

    @property
    def is_foreign(self) -> bool:
        """Whether the saved positions belong to another database than this."""
        return self.copied or self.system != self.server.system

    @property
    def is_successor(self) -> bool:
        """Whether another server took the cluster over since the last relay: rows that it had may be gone."""
        return self.timeline is not None and self.timeline != self.server.timeline


async def server(connection: Connection, doing: str) -> Server:
    """Which server the connection leads to; raises Transient or Permanent."""
    (row,) = await connection.fetch(doing, _SERVER)
    return Server(row["system"], row["timeline"], row["started"])


async def look(
    connection: Connection, schema: str, feed: str, doing: str, *, lock: bool = False
) -> Home | None:
    """The feed's home, None where nothing is recorded of it; ``lock`` keeps the record for the transaction. Raises
    Transient or Permanent."""
    rows = await connection.fetch(
        doing,
        "SELECT f.system_id, f.timeline AS recorded, f.relation <> f.tableoid AS copied, f.history, f.adopted, "
        f"s.* FROM {identifier(schema)}.feed f CROSS JOIN ({_SERVER}) s WHERE f.feed = $1"
        # Rows that refer to the feed may be written meanwhile.
        f"{' FOR NO KEY UPDATE OF f' if lock else ''}",
        feed,
    )
    if not rows:
        return None
    row = rows[0]
    here = Server(row["system"], row["timeline"], row["started"])
    return Home(row["system_id"], row["recorded"], row["copied"], row["history"], tuple(row["adopted"]), here)


def checked(home: Home, doing: str) -> Home:
    """The home where the feed may be read there; raises ForeignError with what happened and what to run."""
    if not home.is_foreign:
        return home
    if home.system == home.server.system:
        raise ForeignError(
            f"{doing}: its tables were restored from a dump, so the saved position may be older than what was "
            f"published; nothing is published and nothing moved until you run {RESTORED}"
        )
    raise ForeignError(
        f"{doing}: this is another PostgreSQL cluster (system identifier {home.server.system}) than the one that it "
        f"was prepared in ({home.system}), where the saved position means nothing; nothing is published and nothing "
        f"moved until you run {RESTORED} after a restore from a backup, which tells anew what is still to publish, "
        f"or {UPGRADED} after pg_upgrade, which keeps the position"
    )
