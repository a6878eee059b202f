"""The list itself, and that nothing is counted beside it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from agent.metrics import catalog, make
from agent.metrics.declare import ANY, Kind, Metric, Unit, one_of

AGENT = Path(__file__).parents[3] / "agent"
MADE = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}


def test_every_metric_has_one_declaration() -> None:
    names = [metric.name for metric in catalog.ALL]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("metric", catalog.OWN, ids=lambda metric: metric.name)
def test_our_own_names_say_kind_and_unit(metric: Metric) -> None:
    assert metric.name.startswith("pillion_")
    assert metric.name.endswith("_total") is (metric.kind is Kind.COUNTER)
    assert ("_seconds" in metric.name) is (metric.unit is Unit.SECONDS)
    assert bool(metric.buckets) is (metric.kind is Kind.HISTOGRAM)


@pytest.mark.parametrize("metric", catalog.ALL, ids=lambda metric: metric.name)
def test_every_metric_is_explained_in_sentences(metric: Metric) -> None:
    assert metric.help.endswith(".")
    assert not metric.meaning or metric.meaning.endswith((".", "`."))


def _library(tree: ast.AST) -> set[str]:
    """What a module imports by name from the library of metrics."""
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("prometheus_client")
        for alias in node.names
    }


def test_only_make_constructs_metrics() -> None:
    """Nor does anyone import the library as a whole, by which it could be done unseen."""
    makers = set()
    for file in AGENT.rglob("*.py"):
        tree = ast.parse(file.read_text())
        whole = any(
            alias.name.startswith("prometheus_client")
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        )
        if whole or _library(tree) & (MADE | {"metrics", "*"}):
            makers.add(file.relative_to(AGENT).as_posix())
    assert makers == {"metrics/make.py"}


def test_values_of_labels_that_are_known_start_at_zero() -> None:
    registry = CollectorRegistry()
    labels = {"a": one_of("x", "y"), "b": one_of("1", "2")}
    make.counter(Metric("pillion_tries_total", Kind.COUNTER, "Tries.", labels=labels), registry)
    for a in "xy":
        for b in "12":
            assert registry.get_sample_value("pillion_tries_total", {"a": a, "b": b}) == 0


def test_values_of_labels_that_come_with_what_happens_are_not_invented() -> None:
    registry = CollectorRegistry()
    labels = {"a": one_of("x"), "b": ANY}
    make.gauge(Metric("pillion_things", Kind.GAUGE, "Things.", labels=labels), registry)
    assert [sample for family in registry.collect() for sample in family.samples] == []


def test_a_histogram_has_the_declared_buckets() -> None:
    registry = CollectorRegistry()
    buckets = (0.5, 2.0)
    make.histogram(
        Metric("pillion_a_seconds", Kind.HISTOGRAM, "A.", Unit.SECONDS, buckets=buckets), registry
    ).observe(1)
    assert registry.get_sample_value("pillion_a_seconds_bucket", {"le": "0.5"}) == 0
    assert registry.get_sample_value("pillion_a_seconds_bucket", {"le": "2.0"}) == 1


def test_our_own_metrics_are_valid_by_openmetrics_too() -> None:
    """A stricter form than the one that is shown: it holds names to kinds, and labels and values to their form."""
    registry, makers = CollectorRegistry(), {Kind.COUNTER: make.counter, Kind.GAUGE: make.gauge}
    for metric in catalog.OWN:
        made = {**makers, Kind.HISTOGRAM: make.histogram}[metric.kind](metric, registry)
        if metric.labels:
            made.labels(*((values or ("any",))[0] for values in metric.labels.values()))
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert {family.name for family in families} == {one.name.removesuffix("_total") for one in catalog.OWN}
    assert all(family.documentation and family.samples for family in families)


def test_an_agent_loads_no_rules_and_no_dashboard() -> None:
    look = (
        "import sys, agent.cli, agent.wiring.outbox;"
        "print(*(m for m in sys.modules if m.startswith('agent.metrics')))"
    )
    said = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = {name for name in said.stdout.split() if name.startswith("agent.metrics")}
    assert "agent.metrics.make" in loaded
    assert {name.split(".")[2] for name in loaded if name.count(".") > 1} <= {"declare", "families", "make"}
