"""docs/metrics.md: what is measured, and what to do when an alert fires."""

from collections.abc import Iterator

from agent.metrics import alerts, catalog
from agent.metrics.declare import Kind, Metric
from agent.metrics.rules.declare import Rule

INTRODUCTION = """\
# Metrics and alerts

Made from the declarations in `agent/metrics` by `python -m agent.metrics.documents docs/metrics.md`; not to be
edited. `make docs` writes all that is made from them.

Every agent answers `/metrics` on `admin.listen` (this machine only) and, where it is set, on `admin.metrics` for a
Prometheus elsewhere: the Compose system and the charts use port 15090. The answer holds the agent's own metrics and all
of its Envoy's; where Envoy does not answer, `pillion_envoy_answered` is 0 and the rest is still there. Metrics of the
service itself come along where `service.metrics_port` names their port ([status.md](status.md)). The form is
Prometheus' text 0.0.4 whatever a scraper asks for: OpenMetrics would give Envoy's counters other names. Of Envoy's
series only those are shown that ever counted, so their number goes with what is used and not with what is configured.

Rules and dashboard expect three labels that the scrape configuration gives: `job` is `pillion`, `service` says whose
agents they are, `instance` which one. `compose/prometheus/prometheus.yml` shows how.

* `compose/prometheus/rules.yml` holds the alert rules, also for a Prometheus of your own.
* `compose/grafana/dashboards/pillion.json` is the dashboard; its data source has the uid `pillion-prometheus`.

A counter whose labels' values are known starts at 0, so that its first event counts as a rise. Envoy leaves out what
never counted; the expressions here take that for 0.
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([INTRODUCTION, *_metrics(), *_alerts()])


def _metrics() -> Iterator[str]:
    yield "# Metrics\n"
    for title, metrics in catalog.GROUPS.items():
        yield f"## {title}\n"
        yield "| name | kind | unit | labels | in the scrape of | meaning |"
        yield "|---|---|---|---|---|---|"
        for metric in metrics:
            yield _row(
                f"`{metric.name}`",
                metric.kind.value,
                metric.unit.value,
                _labels(metric),
                metric.where.value,
                _meaning(metric),
            )
        yield ""


def _labels(metric: Metric) -> str:
    return "; ".join(
        f"`{name}`" + (f": {', '.join(values)}" if values else "") for name, values in metric.labels.items()
    )


def _meaning(metric: Metric) -> str:
    said = f"{metric.help} {metric.meaning}".rstrip()
    if metric.kind is Kind.HISTOGRAM:
        said += f" Buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)}."
    return said


def _alerts() -> Iterator[str]:
    yield "# Alerts\n"
    yield "`critical`: requests or events of users fail or stand still, now. `warning`: something is lost that the next"
    yield "failure would need, or somebody has made a mistake.\n"
    for title, rules in alerts.GROUPS.items():
        yield f"## About {title}\n"
        for rule in rules:
            yield from _alert(rule)


def _alert(rule: Rule) -> Iterator[str]:
    yield f"### `{rule.name}`\n"
    yield f"*{rule.severity.value}, after {rule.wait}.* {rule.description}\n"
    yield f"**What to do:** {rule.do}\n"
    yield f"**Why then:** {rule.why}\n"
    yield f"```promql\n{rule.expr}\n```\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
