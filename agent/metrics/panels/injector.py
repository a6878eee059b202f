"""The injector in Kubernetes."""

from agent.metrics import ask
from agent.metrics.ask import INSTANCE, SERVICE
from agent.metrics.families import injector
from agent.metrics.panels.declare import OVER, SELECTED, Panel, Part, Target, Unit

_LEGEND = "{{instance}}"

INJECTOR = Part(
    "Injector",
    (
        Panel(
            "Reviews",
            (
                Target(
                    ask.gathered(
                        "sum", "job, service, result", ask.rate(injector.REVIEWS, *SELECTED, over=OVER)
                    ),
                    "{{result}}",
                ),
            ),
            unit=Unit.EACH_SECOND,
        ),
        Panel(
            "Time of a review",
            (
                Target(
                    "histogram_quantile(0.99, "
                    + ask.gathered(
                        "sum",
                        f"le, {INSTANCE}",
                        ask.rate(injector.DURATION, *SELECTED, over="15m", suffix="_bucket"),
                    )
                    + ")",
                    f"{_LEGEND} p99",
                ),
            ),
            "Of the last quarter of an hour.",
        ),
        Panel("Injectors that answer", (Target(ask.select(injector.READY, *SELECTED), _LEGEND),), most=1),
        Panel(
            "Life left of the certificate",
            (Target(f"{ask.select(injector.EXPIRES, *SELECTED)} - time()", _LEGEND),),
        ),
        Panel(
            "Certificates and CA",
            (
                Target(
                    ask.gathered(
                        "sum", "job, service, kind", ask.increase(injector.ISSUED, *SELECTED, over="1h")
                    ),
                    "{{kind}}",
                ),
                Target(
                    ask.gathered("sum", "job, service", ask.increase(injector.REPAIRS, *SELECTED, over="1h")),
                    "written into the webhook configuration",
                ),
            ),
            "In the last hour.",
        ),
        Panel(
            "Removed from Consul",
            (
                Target(
                    ask.gathered(
                        "sum", "job, service, what", ask.increase(injector.SWEPT, *SELECTED, over="1h")
                    ),
                    "{{what}}",
                ),
            ),
            "What dead pods had left, in the last hour; in catalog mode.",
        ),
        Panel(
            "Time since the sweep's last look",
            (
                Target(
                    f"time() - {ask.gathered('max', SERVICE, ask.select(injector.LOOKED, *SELECTED) + ' > 0')}",
                    "{{service}}",
                ),
            ),
            "In catalog mode.",
        ),
        Panel(
            "Failures of the API server",
            (
                Target(
                    ask.gathered(
                        "sum", f"{INSTANCE}, subject", ask.rate(injector.FAILURES, *SELECTED, over=OVER)
                    ),
                    f"{_LEGEND} {{{{subject}}}}",
                ),
            ),
            unit=Unit.EACH_SECOND,
        ),
    ),
)
