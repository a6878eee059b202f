"""Events that do not get on."""

from agent.metrics import ask
from agent.metrics.families import outbox
from agent.metrics.rules.declare import Rule, Severity, on

FEED = f"{ask.SERVICE}, feed"
"""One table of one service: each has a database of its own, so the feed's name alone says nothing."""


def late(*matchers: str) -> str:
    """How late the latest share of a feed is that somebody relays."""
    relayed = f"{ask.select(outbox.LAG, *matchers)} and {ask.select(outbox.ACTIVE, *matchers)} == 1"
    return ask.gathered("max", FEED, relayed)


ALL = (
    Rule(
        "PillionOutboxLate",
        values=(late(), ask.gathered("min", FEED, ask.select(outbox.LAG))),
        holds="> 60",
        wait="1m",
        severity=Severity.CRITICAL,
        summary=f"Events of {on(FEED)} wait for more than a minute",
        description=(
            "Something was committed that is not published. Nothing is lost, but consumers see old data."
        ),
        do=(
            "`pillion outbox status` says who relays and what is missing: the broker, the database, "
            "or a refused event."
        ),
        why=(
            "Events are read four times a second at rest, and a relay that died is replaced within "
            "half a minute."
        ),
    ),
    Rule(
        "PillionOutboxUnrelayed",
        values=(ask.gathered("sum", FEED, ask.select(outbox.BUCKETS)),),
        holds=f"< {outbox.ALL_BUCKETS}",
        wait="1m",
        severity=Severity.CRITICAL,
        summary=f"Nobody relays {on(FEED)}, or some of it",
        description=(
            "Buckets of keys that no agent of the service has taken: the database is away, was not prepared, or "
            "is another one."
        ),
        do="`pillion outbox status` names the reason; `pillion outbox init` prepares a new database.",
        why="Longer than a dead owner's lease.",
    ),
    Rule(
        "PillionOutboxStopped",
        values=(ask.gathered("max", FEED, ask.select(outbox.STOPPED)),),
        holds="> 0",
        wait="1m",
        severity=Severity.CRITICAL,
        summary=f"Keys of {on(FEED)} stand still behind an event that can't be had out",
        description=(
            "An event fails and its key can't be set aside: `outbox.on_refused` is block, or as many rows are set "
            "aside as may be. Or it has failed for less than `outbox.hold_after`. What follows it in its bucket of "
            "keys waits; others go on."
        ),
        do=(
            "`pillion status` names row and reason: make the broker take it (size, subject, rights), "
            "correct the row, or clear what is set aside (`pillion outbox parked`)."
        ),
        why="It is tried again after 1 s, 2 s and so on: what passes by itself has passed.",
    ),
    Rule(
        "PillionOutboxRefused",
        values=(ask.gathered("sum", FEED, ask.increase(outbox.REFUSED, over="10m")),),
        holds="> 0",
        wait="0s",
        severity=Severity.WARNING,
        summary=f"The broker refused events of {on(FEED)}",
        description="At least one try to publish was refused in the last minutes.",
        do="`pillion outbox parked` lists keys and reasons; see docs/outbox-parked.md.",
        why="A broker that is well refuses nothing.",
    ),
    Rule(
        "PillionOutboxParked",
        values=(ask.gathered("max", FEED, ask.select(outbox.HELD_KEYS, 'state="parked"')),),
        holds="> 0",
        wait="0s",
        severity=Severity.WARNING,
        summary=f"Keys of {on(FEED)} are parked and wait for a person",
        description=(
            "The broker refused an event for good, or a row is no event. The later events of its key are kept behind "
            "it; all other keys go on."
        ),
        do=(
            "`pillion outbox parked` says why. Put the cause right, then `pillion outbox replay`; or give the event "
            "up by `pillion outbox discard`."
        ),
        why="A parked key never gets on by itself.",
    ),
    Rule(
        "PillionOutboxHeld",
        values=(ask.gathered("max", FEED, ask.select(outbox.HELD_OLDEST)),),
        holds="> 3600",
        wait="0s",
        severity=Severity.WARNING,
        summary=f"Keys of {on(FEED)} are set aside for more than an hour",
        description="Their events are tried again and again, or are parked. Consumers of these keys see old data.",
        do="`pillion outbox parked` lists keys and reasons; see docs/outbox-parked.md.",
        why="A held key is tried every five minutes at least: what passes by itself has passed.",
    ),
    Rule(
        "PillionOutboxSetAsideFull",
        values=(ask.gathered("max", FEED, ask.select(outbox.HELD_ROWS)),),
        holds="> 50000",
        wait="0s",
        severity=Severity.WARNING,
        summary=f"Many rows of {on(FEED)} are set aside",
        description="At `outbox.held_rows` (100000 by default) buckets of keys stop.",
        do="Replay or discard what is set aside before the bound is reached: `pillion outbox parked`.",
        why="Half of the default bound.",
    ),
    Rule(
        "PillionBrokerAway",
        values=(ask.gathered("sum", FEED, ask.increase(outbox.AWAY, over="2m")),),
        holds="> 3",
        wait="0s",
        severity=Severity.WARNING,
        summary=f"The broker of {on(FEED)} is away",
        description="The relay loses the broker or can't reach it. Events wait in the database.",
        do="Look at the broker, the network and the credentials; `pillion status` says what came back.",
        why=(
            "Tries are at most 10 s apart: more than three in two minutes is no restart of one server "
            "of a cluster."
        ),
    ),
)
