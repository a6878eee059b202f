"""All expressions as a Prometheus can be asked: to see on a running system that each of them finds something."""

from agent.metrics import alerts, catalog, dashboard, promql
from agent.metrics.declare import Where
from agent.metrics.families.prometheus import SCRAPE
from agent.metrics.panels.declare import OVER

VARIABLES = {OVER: "1m", **dict.fromkeys((f"${name}" for name in SCRAPE), ".*"), "$job": "pillion"}
"""What the dashboard's variables stand for when everything is chosen."""


def questions(*, cluster: bool = False) -> list[tuple[str, str]]:
    """Where each expression stands, and the expression: panels as they are with all chosen, alert rules without
    their comparison. Each finds something in a system in which every service was called and every feed published;
    with ``cluster`` there are also those about the injector, for a system in Kubernetes.
    """
    panels = [
        (f"panel {part.title} / {panel.title}", substituted(target.expr))
        for part in dashboard.PARTS
        for panel in part.panels
        for target in panel.targets
    ]
    found = [*panels, *((f"alert {rule.name}", rule.data) for rule in alerts.ALL)]
    return [one for one in found if cluster or not _of_the_injector(one[1])]


def _of_the_injector(expression: str) -> bool:
    return any(catalog.SERIES[name].where is Where.INJECTOR for name in promql.named(expression).order)


def substituted(expression: str) -> str:
    """The expression with the dashboard's variables filled in."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression
