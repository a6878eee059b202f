"""What ``pillion outbox adopt`` and ``parked`` tell a person. Pure."""

from collections.abc import Sequence

from agent.outbox.adoption import Adopted
from agent.outbox.parked.desk import SetAsideKey
from agent.runtime.words import plain


def told(done: Sequence[Adopted]) -> str:
    """What was done with each feed, and what consumers will see of it."""
    lines = [_line(each) for each in done]
    if any(each.how == "restored" for each in done):
        lines.append(_REST)
    return "\n".join([*lines, "relays that run go on by themselves, within some seconds"])


def _line(done: Adopted) -> str:
    if done.how == "pg-upgraded":
        return f"{done.feed}: adopted after pg_upgrade; the saved position is kept; history {done.history}"
    return (
        f"{done.feed}: adopted after a restore; history {done.history}; {done.published} rows were published by the "
        f"time of the backup and are not again, {done.unpublished} were not known to be and are published now, "
        f"{done.written} were written since the restore"
    )


_REST = (
    "what was published after the backup was taken, or in the second before, can't be known here: such of the rows "
    "published now as were, arrive again with the same ids; those written after the backup are lost here, though "
    "consumers may have seen them"
)


def listed(found: Sequence[SetAsideKey]) -> str:
    """Each key that is set aside in two lines: which and how many, then why. A key and a reason come from others."""
    if not found:
        return "nothing is set aside"
    return "\n".join(_key(each) for each in found)


def named(key: str | None, rows: Sequence[int]) -> str:
    """A key, or the row of an event without one."""
    if key is None:
        return f"row {rows[0]}, without a key" if rows else "an event without a key"
    return f"key {plain(key)}"


def _key(found: SetAsideKey) -> str:
    name = named(found.key, () if found.first_row is None else (found.first_row,))
    again = f", tried again in {age(found.retry_in)}" if found.retry_in is not None else ""
    first = f", the first is row {found.first_row}" if found.first_row is not None else ""
    return (
        f"{found.feed}: {name}: {found.state} for {age(found.seconds)}{again}; rows: {found.rows}{first}; "
        f"failed tries: {found.attempts}\n    {plain(found.reason)}"
    )


def age(seconds: float) -> str:
    """So many seconds in the unit that fits."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
