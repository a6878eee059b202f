"""Events on their way, by feed: a service's agents as a whole, for some of them relay it, each a share."""

from agent.metrics import ask
from agent.metrics.declare import Metric
from agent.metrics.families import outbox
from agent.metrics.panels.declare import OVER, SERVICES, Panel, Part, Target, Unit
from agent.metrics.rules.outbox import FEED, late

_LEGEND = "{{service}} {{feed}}"


def _together(how: str, metric: Metric, unit: Unit | None = None) -> tuple[Target, ...]:
    inner = ask.rate(metric, *SERVICES, over=OVER) if unit else ask.select(metric, *SERVICES)
    return (Target(ask.gathered(how, FEED, inner), _LEGEND),)


OUTBOX = Part(
    "Outbox",
    (
        Panel(
            "Oldest unsent",
            (
                Target(
                    f"{late(*SERVICES)} or {ask.gathered('min', FEED, ask.select(outbox.LAG, *SERVICES))}",
                    _LEGEND,
                ),
            ),
            "The most of the agents that relay, and where none does the least of all.",
            unit=Unit.SECONDS,
        ),
        Panel(
            "Published",
            (
                Target(
                    ask.gathered("sum", f"{FEED}, topic", ask.rate(outbox.PUBLISHED, *SERVICES, over=OVER)),
                    "{{service}} {{topic}}",
                ),
            ),
            unit=Unit.EACH_SECOND,
        ),
        Panel(
            "Relayed by how many",
            _together("sum", outbox.ACTIVE),
            "As many as `outbox.relays`, or as there are agents.",
        ),
        Panel("Buckets relayed", _together("sum", outbox.BUCKETS), f"{outbox.ALL_BUCKETS} is right."),
        Panel(
            "Refused",
            _together("sum", outbox.REFUSED, Unit.EACH_SECOND),
            unit=Unit.EACH_SECOND,
        ),
        Panel(
            "Keys set aside",
            (
                Target(
                    ask.gathered("max", f"{FEED}, state", ask.select(outbox.HELD_KEYS, *SERVICES)),
                    f"{_LEGEND} {{{{state}}}}",
                ),
            ),
        ),
        Panel("Rows set aside", _together("max", outbox.HELD_ROWS)),
        Panel("Oldest key set aside", _together("max", outbox.HELD_OLDEST)),
        Panel("Left out", _together("sum", outbox.SKIPPED, Unit.EACH_SECOND), unit=Unit.EACH_SECOND),
        Panel("Stopped buckets", _together("max", outbox.STOPPED)),
        Panel("Broker away", _together("sum", outbox.AWAY, Unit.EACH_SECOND), unit=Unit.EACH_SECOND),
        Panel(
            "Lost to another relay", _together("sum", outbox.LOST, Unit.EACH_SECOND), unit=Unit.EACH_SECOND
        ),
        Panel(
            "Time of a page",
            tuple(
                Target(
                    f"histogram_quantile({part}, "
                    + ask.gathered(
                        "sum", f"le, {FEED}", ask.rate(outbox.PAGE, *SERVICES, over=OVER, suffix="_bucket")
                    )
                    + ")",
                    f"{_LEGEND} p{round(part * 100)}",
                )
                for part in (0.5, 0.99)
            ),
        ),
        Panel("Answers of the database", _together("max", outbox.DATABASE)),
        Panel("Rows cleaned up", _together("sum", outbox.CLEANED, Unit.EACH_SECOND), unit=Unit.EACH_SECOND),
    ),
)
