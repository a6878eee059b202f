"""Requests that fail, and what fails before they do."""

from agent.metrics import ask
from agent.metrics.ask import INSTANCE, SERVICE
from agent.metrics.families import envoy
from agent.metrics.rules.declare import Rule, Severity, on

_MESH = f'{envoy.CLUSTER}=~"upstream_.+"'
_BY_CLUSTER = f"{INSTANCE}, {envoy.CLUSTER}"
_HEALTHY = ask.select(envoy.HEALTHY, _MESH)
_ENOUGH = 0.1
"""Requests a second below which a share of errors says nothing: one a probe, or one person who tries."""


def share_of_errors(by: str, *matchers: str, over: str) -> str:
    """5xx answers as a part of all, 0 to 1; nothing where nobody asked."""
    all_ = ask.gathered("sum", by, ask.rate(envoy.ANSWERS, *matchers, over=over))
    bad = ask.gathered("sum", by, ask.rate(envoy.ANSWERS, *matchers, f'{envoy.CLASS}="5"', over=over))
    return f"{ask.or_zero(bad, all_)} / {all_}"


def _errors(name: str, manager: str, text: str, do: str) -> Rule:
    matcher = f'{envoy.MANAGER}="{manager}"'
    asked = ask.gathered("sum", SERVICE, ask.rate(envoy.ANSWERS, matcher, over="5m"))
    return Rule(
        name,
        values=(share_of_errors(SERVICE, matcher, over="5m"),),
        holds="> 0.05",
        wait="1m",
        severity=Severity.CRITICAL,
        summary=f"More than 5 % of the {text} {on(SERVICE)} are answered with 5xx",
        description=(
            f"Callers see errors: of the {text} this service more than one in twenty failed in the "
            "last minutes."
        ),
        do=do,
        why=(
            f"Retries hide single failures, so what is left is broad; below {_ENOUGH} a second one "
            "error would do."
        ),
        only=f"and {asked} > {_ENOUGH}",
    )


ALL = (
    _errors(
        "PillionInboundErrors",
        "inbound",
        "requests to",
        "Look at the service's log and at its traces with errors; compare versions and instances on the dashboard.",
    ),
    _errors(
        "PillionGatewayErrors",
        "gateway",
        "requests through the gateway",
        "See on the dashboard which upstream they come from; 503 means that none could be reached, 504 a timeout.",
    ),
    Rule(
        "PillionNoUpstream",
        values=(ask.gathered("max", f"job, {envoy.CLUSTER}", _HEALTHY),),
        holds="== 0",
        wait="1m",
        severity=Severity.CRITICAL,
        summary=f"No instance of {on(envoy.CLUSTER)} may get requests",
        description=(
            "No Envoy that knows this service has a well instance of it: calls are answered 503, or go to "
            "instances that fail their active checks."
        ),
        do=(
            "Look in Consul which instances there are and why they do not pass; start one if there is none. Where "
            "all pass, see whether `check_path` is right."
        ),
        why="Longer than a lone instance takes to start anew.",
    ),
    Rule(
        "PillionCircuitOpen",
        values=tuple(
            ask.gathered("max", _BY_CLUSTER, f"max_over_time({ask.select(metric, _MESH)}[1m])")
            for metric in (envoy.CONNECTIONS_OPEN, envoy.REQUESTS_OPEN, envoy.PENDING_OPEN)
        ),
        holds="> 0",
        wait="0s",
        severity=Severity.WARNING,
        summary=f"The circuit of {on(_BY_CLUSTER)} is open",
        description=(
            "As many connections or requests to this upstream are under way as its limits allow; further ones are "
            "answered 503 at once."
        ),
        do=(
            "See whether the upstream has become slow; if it is well, raise `max_connections`, `max_pending` or "
            "`max_requests` of that upstream."
        ),
        why="It is a moment's state, so any in the last minute counts.",
    ),
    Rule(
        "PillionInstanceEjected",
        values=(ask.gathered("max", _BY_CLUSTER, ask.or_zero(ask.select(envoy.EJECTED, _MESH), _HEALTHY)),),
        holds="> 0",
        wait="0s",
        severity=Severity.WARNING,
        summary=f"{on(_BY_CLUSTER)}: instances are left out",
        description=(
            "Instances that pass their checks in Consul keep failing this caller, which leaves them "
            "out for a while."
        ),
        do=(
            "Find the instance (`/clusters` of Envoy's admin names it) and its log; a check that passes though "
            "requests fail is too kind."
        ),
        why="Each ejection follows as many failures in a row as `ejection_failures` says.",
    ),
    Rule(
        "PillionRetriesHeldBack",
        values=(
            ask.gathered(
                "sum", _BY_CLUSTER, ask.or_zero(ask.rate(envoy.RETRIES_HELD, _MESH, over="1m"), _HEALTHY)
            ),
        ),
        holds="> 0",
        wait="1m",
        severity=Severity.WARNING,
        summary=f"{on(_BY_CLUSTER)}: retries are held back",
        description=(
            "So many requests to this upstream fail that their retries would be more than a fifth of all: "
            "callers see errors that retries else hide."
        ),
        do="See what the upstream answers and whether it is overloaded; more retries would only add to that.",
        why="A moment of it is a restart; longer, the upstream does not recover by itself.",
    ),
)
