"""What the agents do: configuration, Consul, and what they cost."""

from agent.metrics import ask
from agent.metrics.ask import INSTANCE
from agent.metrics.declare import Metric
from agent.metrics.families import envoy, process, proxy, registry
from agent.metrics.panels.declare import OVER, SELECTED, Panel, Part, Target, Unit

_LEGEND = "{{instance}}"


def _plain(metric: Metric, legend: str = _LEGEND) -> Target:
    return Target(ask.select(metric, *SELECTED), legend)


def _each_second(metric: Metric, label: str = "") -> Target:
    by = f"{INSTANCE}, {label}" if label else INSTANCE
    legend = _LEGEND + (" {{" + label + "}}" if label else "")
    return Target(ask.gathered("sum", by, ask.rate(metric, *SELECTED, over=OVER)), legend)


def _slowest(metric: Metric) -> Target:
    inner = ask.gathered("sum", f"le, {INSTANCE}", ask.rate(metric, *SELECTED, over="15m", suffix="_bucket"))
    return Target(f"histogram_quantile(0.99, {inner})", f"{_LEGEND} p99")


CONFIGURATION = Part(
    "Configuration",
    (
        Panel("Responses to Envoy", (_each_second(proxy.RESPONSES, "type"),), unit=Unit.EACH_SECOND),
        Panel(
            "Refused",
            (_each_second(proxy.REFUSALS, "type"), _each_second(proxy.PLAN_FAILURES)),
            unit=Unit.EACH_SECOND,
        ),
        Panel(
            "In force", (_plain(proxy.UP_TO_DATE), _plain(proxy.CONNECTED, f"{_LEGEND} connected")), most=1
        ),
        Panel(
            "Time of delivery",
            (_slowest(proxy.DELIVERY),),
            "Of the last quarter of an hour; nothing without a change.",
        ),
        Panel(
            "Time of planning",
            (_slowest(proxy.PLANS),),
            "Of the last quarter of an hour; nothing without a change.",
        ),
        Panel("Streams", (_each_second(proxy.STREAMS),), unit=Unit.EACH_SECOND),
        Panel(
            "Not in any plan",
            (
                _plain(proxy.LEFT_OUT, f"{_LEGEND} left out"),
                _plain(proxy.CONFLICTS, f"{_LEGEND} paths that another has"),
            ),
        ),
    ),
)

REGISTRY = Part(
    "Registry",
    (
        Panel(
            "Registered, passing, healthy",
            (
                _plain(registry.REGISTERED, f"{_LEGEND} registered"),
                _plain(registry.PASSING, f"{_LEGEND} passing"),
                _plain(registry.HEALTHY, f"{_LEGEND} healthy"),
            ),
            most=1,
        ),
        Panel("Registrations written", (_each_second(registry.REPAIRS, "reason"),), unit=Unit.EACH_SECOND),
        Panel("Updates of the check", (_each_second(registry.UPDATES, "outcome"),), unit=Unit.EACH_SECOND),
        Panel("Failures of Consul", (_each_second(registry.FAILURES, "subject"),), unit=Unit.EACH_SECOND),
        Panel(
            "Health checks of the service",
            (_each_second(registry.PROBES, "outcome"),),
            unit=Unit.EACH_SECOND,
        ),
        Panel(
            "Catalogue",
            (
                _plain(registry.SERVICES, f"{_LEGEND} services"),
                _plain(registry.INSTANCES, f"{_LEGEND} instances"),
            ),
        ),
        Panel(
            "Stale or left out",
            (_plain(registry.STALE, f"{_LEGEND} stale"), _plain(registry.LEFT_OUT, f"{_LEGEND} left out")),
        ),
        Panel("Malformed entries", (_each_second(registry.SKIPPED),), unit=Unit.EACH_SECOND),
        Panel(
            "Values from KV",
            (
                _plain(registry.KEYS, f"{_LEGEND} keys"),
                _plain(registry.REFUSED, f"{_LEGEND} refused"),
                _plain(registry.UNSETTLED, f"{_LEGEND} waiting to restart"),
            ),
        ),
        Panel(
            "Changes from KV",
            (_each_second(registry.DELIVERIES, "outcome"), _each_second(registry.OVERRIDES, "outcome")),
            unit=Unit.EACH_SECOND,
        ),
    ),
)

AGENTS = Part(
    "Agents",
    (
        Panel("CPU of the agents", (_each_second(process.CPU),), "1 is one core.", unit=Unit.SHARE),
        Panel("Memory of the agents", (_plain(process.RESIDENT),)),
        Panel("Memory of the Envoys", (_plain(envoy.MEMORY),)),
        Panel("Envoys that answer", (_plain(process.ANSWERED),), most=1),
        Panel(
            "Services that do not show their metrics",
            (
                Target(
                    ask.or_zero(
                        f"1 - {ask.select(process.SERVICE_ANSWERED, *SELECTED)}",
                        ask.select(process.ANSWERED, *SELECTED),
                    ),
                    _LEGEND,
                ),
            ),
            "1 where they were asked and did not; 0 also where `service.metrics_port` is not set.",
            most=1,
        ),
        Panel(
            "Time since the start", (Target(f"time() - {ask.select(process.STARTED, *SELECTED)}", _LEGEND),)
        ),
        Panel("Spans of the agents", (_each_second(process.SPANS, "outcome"),), unit=Unit.EACH_SECOND),
    ),
)
