"""Rules, panels and pages ask only for what is in the list."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.metrics import alerts, catalog, dashboard, expressions, questions
from agent.metrics.declare import Metric
from agent.metrics.families import envoy
from agent.metrics.panels.declare import Panel, Target
from agent.metrics.promql import named
from agent.metrics.rules.declare import Rule

ROOT = Path(__file__).parents[3]
PANELS = [panel for part in dashboard.PARTS for panel in part.panels]
ASKED = [
    *((f"{panel.title} {target.legend}", target.expr) for panel in PANELS for target in panel.targets),
    *((rule.name, expression) for rule in alerts.ALL for expression in (rule.expr, rule.data)),
]
SUBJECTS = "|".join(sorted({metric.name.split("_")[1] for metric in catalog.OWN}))
NAME = re.compile(rf"\b(?:pillion_(?:{SUBJECTS})|envoy|process)_[a-z0-9_]+\b")
"""A word that can only be a metric: there are tables, roles and packages that begin with pillion_, too."""


def unknown(expression: str) -> list[str]:
    """What the expression names and the list does not."""
    found = named(expression)
    wrong = [name for name in found.order if name not in catalog.SERIES]
    known = [name for name in found.order if name in catalog.SERIES]
    wrong += [
        f"{name}.{label}"
        for name, label in found.matched
        if name in known and label not in catalog.labels(name)
    ]
    wrong += [
        f"{name} by {label}" for name in known for label in found.grouped if label not in catalog.labels(name)
    ]
    return wrong


@pytest.mark.parametrize(("where", "expression"), ASKED)
def test_every_series_and_label_of_an_expression_is_in_the_list(where: str, expression: str) -> None:
    assert named(expression).order
    assert unknown(expression) == [], where


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("pillion_registred == 0", ["pillion_registred"]),
        ("rate(pillion_plan_seconds[5m])", ["pillion_plan_seconds"]),
        ('pillion_outbox_active{feeds="a"}', ["pillion_outbox_active.feeds"]),
        ("sum by (feed) (pillion_registered)", ["pillion_registered by feed"]),
        ("sum by (le) (pillion_plan_seconds_count)", ["pillion_plan_seconds_count by le"]),
    ],
)
def test_a_wrong_name_would_be_noticed(expression: str, wrong: list[str]) -> None:
    assert unknown(expression) == wrong


def texts() -> Iterable[tuple[str, str]]:
    """What people read, in which metrics are named."""
    for file in (ROOT / "docs").rglob("*.md"):
        yield file.name, file.read_text()
    for name in ("README.md", "CONTRIBUTING.md"):
        yield name, (ROOT / name).read_text()
    for file in (ROOT / "compose" / "prometheus").glob("*.yml"):
        yield file.name, file.read_text()
    yield "pillion.json", (ROOT / "compose/grafana/dashboards/pillion.json").read_text()


def test_every_metric_that_a_page_names_is_in_the_list() -> None:
    labels = {label for metric in catalog.ALL for label in metric.labels}
    known = set(catalog.SERIES) | {metric.name for metric in catalog.ALL} | labels
    wrong = {(name, word) for name, text in texts() for word in NAME.findall(text) if word not in known}
    assert wrong == set()


@pytest.mark.parametrize("rule", alerts.ALL, ids=lambda rule: rule.name)
def test_an_alert_names_only_labels_that_it_keeps(rule: Rule) -> None:
    """A label that an aggregation drops would be an empty place in the text."""
    for label in re.findall(r"\$labels\.(\w+)", rule.summary + rule.description):
        found = named(rule.values[0])
        if found.grouped:
            assert label in found.grouped
        else:
            assert all(label in catalog.labels(name) for name in found.series)


@pytest.mark.parametrize("rule", alerts.ALL, ids=lambda rule: rule.name)
def test_an_alert_says_what_it_means_what_to_do_and_why_then(rule: Rule) -> None:
    assert rule.name.startswith("Pillion")
    assert not rule.summary.endswith(".")
    assert all(text.endswith((".", "…")) for text in (rule.description, rule.do, rule.why))


def test_envoys_metrics_are_listed_because_somebody_asks_for_them() -> None:
    asked = {catalog.SERIES[name].name for _, expression in ASKED for name in named(expression).order}
    assert {metric.name for metric in envoy.ALL} <= asked


@pytest.mark.parametrize("metric", catalog.ALL, ids=lambda metric: metric.name)
def test_every_metric_is_on_the_dashboard(metric: Metric) -> None:
    assert any(set(metric.series) & named(target.expr).series for panel in PANELS for target in panel.targets)


def test_alerts_have_names_of_their_own() -> None:
    names = [rule.name for rule in alerts.ALL]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("panel", "target"), [(panel, target) for panel in PANELS for target in panel.targets]
)
def test_a_line_is_called_by_labels_that_it_has(panel: Panel, target: Target) -> None:
    found = named(target.expr)
    for label in re.findall(r"{{(\w+)}}", target.legend):
        assert label in (found.grouped or catalog.labels(found.order[0])), panel.title


def _document() -> dict[str, Any]:
    written: dict[str, Any] = json.loads((ROOT / "compose/grafana/dashboards/pillion.json").read_text())
    return written


def test_the_dashboard_asks_the_data_source_that_is_provisioned() -> None:
    provisioned = yaml.safe_load(
        (ROOT / "compose/grafana/provisioning/datasources/prometheus.yml").read_text()
    )
    sources = {(one["type"], one["uid"]) for one in provisioned["datasources"]}
    document = _document()
    holders = [*document["panels"], *document["templating"]["list"]]
    holders += [target for panel in document["panels"] for target in panel.get("targets", [])]
    asked = [one["datasource"] for one in holders if one.get("type") != "row"]
    assert asked
    assert {(one["type"], one["uid"]) for one in asked} <= sources


def test_the_dashboards_variables_are_labels_of_a_metric_that_every_agent_has() -> None:
    asked = [one["query"]["query"] for one in _document()["templating"]["list"]]
    assert [one["name"] for one in _document()["templating"]["list"]] == ["job", "service", "instance"]
    for query in asked:
        inner, _, label = query.removeprefix("label_values(").removesuffix(")").rpartition(", ")
        assert unknown(inner) == []
        assert label in catalog.labels(named(inner).order[0])


def test_no_two_panels_have_one_place_or_one_number() -> None:
    panels = _document()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        covered = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not covered & places, panel["title"]
        assert at["x"] + at["w"] <= dashboard.COLUMNS
        places |= covered


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_a_panel_has_the_unit_and_the_words_of_its_metrics(panel: Panel) -> None:
    metrics: list[Metric] = [catalog.SERIES[name] for name in named(panel.targets[0].expr).order]
    assert metrics[0].help in dashboard.description(panel)
    assert panel.unit or len({metric.unit for metric in metrics}) == 1


def test_the_questions_are_all_expressions_with_everything_chosen() -> None:
    asked = expressions(cluster=True)
    assert len(asked) == sum(len(panel.targets) for panel in PANELS) + len(alerts.ALL)
    assert not [expression for _, expression in asked if "$" in expression]
    assert questions.substituted('a{job=~"$job"}[$__rate_interval]') == 'a{job=~"pillion"}[1m]'


def test_a_system_outside_of_kubernetes_is_not_asked_for_the_injector() -> None:
    outside = expressions()
    assert outside
    assert not [expression for _, expression in outside if "pillion_injector" in expression]
    assert set(outside) < set(expressions(cluster=True))
