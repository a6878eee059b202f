"""Messages on their way into services, by topic."""

from agent.metrics import ask
from agent.metrics.families import inbox
from agent.metrics.panels.declare import OVER, SERVICES, Panel, Part, Target, Unit
from agent.metrics.rules.inbox import TOPIC

INBOX = Part(
    "Inbox",
    (
        Panel(
            "Messages",
            (
                Target(
                    ask.gathered("sum", f"{TOPIC}, result", ask.rate(inbox.MESSAGES, *SERVICES, over=OVER)),
                    "{{service}} {{topic}} {{result}}",
                ),
            ),
            "What became of them: `again` counts each failed try, `duplicate` what was done before.",
            unit=Unit.EACH_SECOND,
        ),
        Panel(
            "Partitions taken",
            (
                Target(
                    ask.gathered("sum", TOPIC, ask.select(inbox.PARTITIONS, *SERVICES)),
                    "{{service}} {{topic}}",
                ),
            ),
            "As many as the topic has is right.",
        ),
        Panel(
            "Time of a message",
            tuple(
                Target(
                    f"histogram_quantile({part}, "
                    + ask.gathered(
                        "sum", f"le, {TOPIC}", ask.rate(inbox.SECONDS, *SERVICES, over=OVER, suffix="_bucket")
                    )
                    + ")",
                    f"{{{{service}}}} {{{{topic}}}} p{round(part * 100)}",
                )
                for part in (0.5, 0.99)
            ),
        ),
    ),
)
