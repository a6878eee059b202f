"""Events that do not get on."""

from agent.metrics import ask
from agent.metrics.families import outbox
from agent.metrics.rules.declare import Rule, Severity, on

FEED = f"{ask.SERVICE}, feed"
"""One table of one service: each has a database of its own, so the feed's name alone says nothing."""

ALL = (
    Rule(
        "PillionOutboxLate",
        values=(ask.gathered("min", FEED, ask.select(outbox.LAG)),),
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
        values=(ask.gathered("sum", FEED, ask.select(outbox.ACTIVE)),),
        holds="== 0",
        wait="1m",
        severity=Severity.CRITICAL,
        summary=f"Nobody relays {on(FEED)}",
        description=(
            "No agent of the service has taken the feed: the database is away, was not prepared, or "
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
        summary=f"Keys of {on(FEED)} stand still behind a refused event",
        description=(
            "The broker refuses an event, or a row is no event. What follows it in its bucket of keys "
            "waits; others go on."
        ),
        do=(
            "`pillion status` names row and reason: make the broker take it (size, subject, rights), "
            "or correct the row."
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
        do="Read the log for `outbox.refused`; if it goes on, keys stand still and another alert follows.",
        why="A broker that is well refuses nothing.",
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
