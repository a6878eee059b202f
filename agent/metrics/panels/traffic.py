"""Requests as the services' and the gateway's own Envoys see them arrive, and as callers see their upstreams."""

from agent.metrics import ask
from agent.metrics.ask import SERVICE
from agent.metrics.declare import Metric
from agent.metrics.families import envoy, prometheus, registry
from agent.metrics.panels.declare import OVER, SELECTED, SERVICES, Panel, Part, Shown, Target, Unit
from agent.metrics.rules.traffic import share_of_errors

_ARRIVING = f'{envoy.MANAGER}=~"inbound|gateway"'
_BY = f"{SERVICE}, {envoy.MANAGER}"
_LEGEND = "{{service}} {{" + envoy.MANAGER + "}}"
_MESH = f'{envoy.CLUSTER}=~"upstream_.+"'
_BY_UPSTREAM = f"{SERVICE}, {envoy.CLUSTER}"
_ZONES = f"{_BY_UPSTREAM}, from_zone, to_zone"
_UPSTREAM = "{{service}} to {{" + envoy.CLUSTER + "}}"


def _quantile(part: float, by: str, inner: str) -> str:
    return f"histogram_quantile({part}, sum by (le, {by}) ({inner}))"


def _times(metric: Metric, by: str, legend: str, *matchers: str) -> tuple[Target, ...]:
    inner = ask.rate(metric, *matchers, over=OVER, suffix="_bucket")
    return tuple(Target(_quantile(part, by, inner), f"{legend} p{round(part * 100)}") for part in (0.5, 0.99))


def _counted(*metrics: tuple[Metric, str]) -> tuple[Target, ...]:
    """How often a second each counter of an upstream counts; 0 where it never did."""
    members = ask.select(envoy.MEMBERS, *SELECTED, _MESH)
    return tuple(
        Target(
            ask.gathered(
                "sum", _BY_UPSTREAM, ask.or_zero(ask.rate(metric, *SELECTED, _MESH, over=OVER), members)
            ),
            f"{_UPSTREAM} {what}".strip(),
        )
        for metric, what in metrics
    )


OVERVIEW = Part(
    "Overview",
    (
        Panel(
            "Agents that answer",
            (Target(ask.gathered("sum", "job", ask.select(prometheus.UP, *SELECTED)), "agents"),),
            shown=Shown.NUMBER,
        ),
        Panel(
            "Instances registered",
            (Target(ask.gathered("sum", "job", ask.select(registry.REGISTERED, *SELECTED)), "registered"),),
            shown=Shown.NUMBER,
        ),
        Panel(
            "Instances passing",
            (Target(ask.gathered("sum", "job", ask.select(registry.PASSING, *SELECTED)), "passing"),),
            shown=Shown.NUMBER,
        ),
        Panel(
            "Requests",
            (
                Target(
                    ask.gathered("sum", _BY, ask.rate(envoy.ANSWERS, *SELECTED, _ARRIVING, over=OVER)),
                    _LEGEND,
                ),
            ),
            unit=Unit.REQUESTS,
        ),
        Panel(
            "Share of 5xx",
            (Target(share_of_errors(_BY, *SELECTED, _ARRIVING, over=OVER), _LEGEND),),
            "Of the answers given, after all retries.",
            unit=Unit.SHARE,
            most=1,
        ),
        Panel("Time of answers", _times(envoy.TIME, _BY, _LEGEND, *SELECTED, _ARRIVING)),
    ),
)

UPSTREAMS = Part(
    "Upstreams",
    (
        Panel(
            "Answers of upstreams",
            (
                Target(
                    ask.gathered(
                        "sum", _BY_UPSTREAM, ask.rate(envoy.UPSTREAM_ANSWERS, *SELECTED, _MESH, over=OVER)
                    ),
                    _UPSTREAM,
                ),
            ),
            unit=Unit.REQUESTS,
        ),
        Panel(
            "5xx of upstreams",
            (
                Target(
                    ask.or_zero(
                        ask.gathered(
                            "sum",
                            _BY_UPSTREAM,
                            ask.rate(
                                envoy.UPSTREAM_ANSWERS, *SELECTED, _MESH, f'{envoy.CLASS}="5"', over=OVER
                            ),
                        ),
                        ask.gathered("sum", _BY_UPSTREAM, ask.select(envoy.MEMBERS, *SELECTED, _MESH)),
                    ),
                    _UPSTREAM,
                ),
            ),
            unit=Unit.REQUESTS,
        ),
        Panel(
            "Retries",
            _counted((envoy.RETRIES, ""), (envoy.RETRIES_WON, "that helped")),
            unit=Unit.REQUESTS,
        ),
        Panel(
            "Given up",
            _counted(
                (envoy.TIMEOUTS, "timeout"),
                (envoy.TRY_TIMEOUTS, "timeout of a try"),
                (envoy.UNREACHED, "connection failed"),
                (envoy.CONNECT_TIMEOUTS, "connect timeout"),
                (envoy.RETRIES_HELD, "retry held back"),
            ),
            unit=Unit.REQUESTS,
        ),
        Panel(
            "Refused by limits",
            _counted(
                (envoy.PENDING_FULL, "waiting"),
                (envoy.REQUESTS_FULL, "requests"),
                (envoy.CONNECTIONS_FULL, "waits for a connection"),
            ),
            unit=Unit.REQUESTS,
        ),
        Panel(
            "Silent streams ended",
            (
                Target(
                    ask.gathered(
                        "sum",
                        _BY,
                        ask.or_zero(
                            ask.rate(envoy.IDLE_TIMEOUTS, *SELECTED, over=OVER),
                            ask.rate(envoy.ANSWERS, *SELECTED, over=OVER),
                        ),
                    ),
                    _LEGEND,
                ),
            ),
            unit=Unit.REQUESTS,
        ),
        Panel("Time of upstreams", _times(envoy.UPSTREAM_TIME, _BY_UPSTREAM, _UPSTREAM, *SELECTED, _MESH)),
        Panel(
            "Healthy members",
            (
                Target(
                    ask.gathered("min", _BY_UPSTREAM, ask.select(envoy.HEALTHY, *SELECTED, _MESH)), _UPSTREAM
                ),
            ),
            "As the caller's agent with the fewest sees it.",
        ),
        Panel(
            "Open circuits",
            tuple(
                Target(
                    ask.gathered("max", _BY_UPSTREAM, ask.select(metric, *SELECTED, _MESH)),
                    f"{_UPSTREAM} {what}",
                )
                for metric, what in (
                    (envoy.CONNECTIONS_OPEN, "connections"),
                    (envoy.REQUESTS_OPEN, "requests"),
                    (envoy.PENDING_OPEN, "waiting"),
                )
            ),
            most=1,
        ),
        Panel(
            "Ejected instances",
            (
                Target(
                    ask.gathered(
                        "max",
                        _BY_UPSTREAM,
                        ask.or_zero(
                            ask.select(envoy.EJECTED, *SELECTED, _MESH),
                            ask.select(envoy.MEMBERS, *SELECTED, _MESH),
                        ),
                    ),
                    _UPSTREAM,
                ),
            ),
        ),
        Panel(
            "Ejections and checks",
            _counted(
                (envoy.EJECTIONS, "ejected for 5xx"),
                (envoy.GATEWAY_EJECTIONS, "ejected for gateway failures"),
                (envoy.CHECKS, "checks"),
                (envoy.CHECKS_FAILED, "failed checks"),
                (envoy.ALL_UNWELL, "requests while none was well"),
            ),
            unit=Unit.EACH_SECOND,
        ),
        Panel(
            "Requests from zone to zone",
            (
                Target(
                    ask.gathered("sum", _ZONES, ask.rate(envoy.ZONES, *SELECTED, _MESH, over=OVER)),
                    _UPSTREAM + ", {{from_zone}} to {{to_zone}}",
                ),
            ),
            "Empty where `service.zone` is not set.",
            unit=Unit.REQUESTS,
        ),
        Panel(
            "Rings of sticky upstreams",
            (
                Target(
                    ask.gathered(
                        "max",
                        _BY_UPSTREAM,
                        ask.or_zero(
                            ask.select(envoy.RING, *SELECTED, _MESH),
                            ask.select(envoy.MEMBERS, *SELECTED, _MESH),
                        ),
                    ),
                    _UPSTREAM,
                ),
            ),
            "0 where `balance` is not ring_hash.",
        ),
        Panel(
            "Members as a whole",
            (
                Target(
                    ask.gathered("max", f"job, {envoy.CLUSTER}", ask.select(envoy.MEMBERS, *SERVICES, _MESH)),
                    "{{" + envoy.CLUSTER + "}}",
                ),
            ),
        ),
    ),
)
