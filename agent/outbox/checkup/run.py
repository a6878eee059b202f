"""All that is looked at, over two connections of the relay's own role."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from agent.config.sections.outbox import Outbox
from agent.outbox.checkup import Remark
from agent.outbox.checkup.feed import index, prepared, sequence
from agent.outbox.checkup.rights import rights
from agent.outbox.checkup.server import clock, pooler, server, unreachable
from agent.outbox.checkup.transactions import LONG, transactions
from agent.outbox.checkup.triggers import triggers
from agent.outbox.database import Connection, Database
from agent.outbox.feeds import Feed, feeds
from agent.runtime.errors import PillionError

DOING = "looking at the service's database"


async def examine(
    database: Database, settings: Outbox, now: Callable[[], float], long: float = LONG
) -> list[Remark]:
    """What is right and wrong. ``now`` is the wall clock in seconds; a transaction is long after ``long`` seconds."""
    async with AsyncExitStack() as stack:
        try:
            first = await stack.enter_async_context(database.connection())
            second = await stack.enter_async_context(database.connection())
            way = await pooler(first, second, DOING)
            if way.level == "problem":
                # What else is asked would meet one server process after another.
                return [way]
            found = [await server(first, DOING), way]
        except PillionError as error:
            return [unreachable(error)]
        if found[0].level == "problem":
            return found
        found += await _looked("outbox.clock", "the clocks", lambda: _one(clock(first, DOING, now)))
        found += await _looked(
            "outbox.transactions", "open transactions", lambda: transactions(first, DOING, long)
        )
        found += await _looked("outbox.rights", "the role's rights", lambda: rights(first, settings, DOING))
        if any(each.id == "outbox.rights" and each.level == "problem" for each in found):
            return found
        for feed in feeds(settings):
            found += await _feed(first, settings, feed)
        return found + await _looked(
            "outbox.triggers", "the triggers", lambda: triggers(first, settings, DOING)
        )


async def _feed(connection: Connection, settings: Outbox, feed: Feed) -> list[Remark]:
    told = await _looked(
        "outbox.prepared",
        f"the outbox {feed.name}",
        lambda: _one(prepared(connection, settings, feed, DOING)),
    )
    told += await _looked(
        "outbox.sequence", f"the outbox {feed.name}", lambda: _one(sequence(connection, feed, DOING))
    )
    if any(each.id == "outbox.prepared" and each.level == "problem" for each in told):
        return told
    return told + await _looked(
        "outbox.index", f"the outbox {feed.name}", lambda: _one(index(connection, settings, feed, DOING))
    )


async def _one(remark: Awaitable[Remark]) -> list[Remark]:
    return [await remark]


async def _looked(id_: str, subject: str, look: Callable[[], Awaitable[Sequence[Remark]]]) -> list[Remark]:
    """What was found; that it could not be looked at is a problem of its own, and keeps nothing else back."""
    try:
        return list(await look())
    except PillionError as error:
        todo = "Mend what keeps it from being looked at, and try again."
        return [Remark(id_, "problem", subject, f"it could not be looked at: {error}", todo)]
