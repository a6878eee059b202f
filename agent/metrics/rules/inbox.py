"""Messages that the service does not get."""

from agent.metrics import ask
from agent.metrics.families import inbox
from agent.metrics.rules.declare import Rule, Severity, on

TOPIC = f"{ask.SERVICE}, topic"
"""One topic of one service: its agents share the partitions."""

ALL = (
    Rule(
        "PillionInboxUntaken",
        values=(ask.gathered("sum", TOPIC, ask.select(inbox.PARTITIONS)),),
        holds="== 0",
        wait="1m",
        severity=Severity.CRITICAL,
        summary=f"Nobody takes the messages of {on(TOPIC)}",
        description="No agent of the service has a partition of the topic: its messages wait in the broker.",
        do=(
            "`pillion status` says what is missing: the consumer's database, its tables (`pillion inbox init`), or "
            "the broker."
        ),
        why="Longer than a dead owner's lease.",
    ),
    Rule(
        "PillionInboxDeadLetters",
        values=(ask.gathered("sum", TOPIC, ask.increase(inbox.MESSAGES, 'result="dead"', over="10m")),),
        holds="> 0",
        wait="0s",
        severity=Severity.WARNING,
        summary=f"The service did not take messages of {on(TOPIC)}",
        description="At least one message was refused, or failed for as long as it is tried, and was set aside.",
        do="`pillion inbox dead` shows it with the reason: `replay` it once the service takes it, or `discard` it.",
        why="A service that is well refuses nothing.",
    ),
)
