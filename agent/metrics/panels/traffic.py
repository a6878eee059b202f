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
_UPSTREAM = "{{service}} to {{" + envoy.CLUSTER + "}}"


def _quantile(part: float, by: str, inner: str) -> str:
    return f"histogram_quantile({part}, sum by (le, {by}) ({inner}))"


def _times(metric: Metric, by: str, legend: str, *matchers: str) -> tuple[Target, ...]:
    inner = ask.rate(metric, *matchers, over=OVER, suffix="_bucket")
    return tuple(Target(_quantile(part, by, inner), f"{legend} p{round(part * 100)}") for part in (0.5, 0.99))


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
            (
                Target(
                    ask.gathered(
                        "sum",
                        _BY_UPSTREAM,
                        ask.or_zero(
                            ask.rate(envoy.RETRIES, *SELECTED, _MESH, over=OVER),
                            ask.select(envoy.MEMBERS, *SELECTED, _MESH),
                        ),
                    ),
                    _UPSTREAM,
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
