"""What ``pillion outbox adopt`` tells a person. Pure."""

from collections.abc import Sequence

from agent.outbox.adoption import Adopted


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
