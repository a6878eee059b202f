"""Scrapes as Prometheus stores them, held against the list."""

import re
from collections.abc import Iterable

from agent.metrics import catalog
from agent.metrics.declare import Kind, Metric, Where

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
TYPE = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)
HELP = re.compile(r"^# HELP (\S+) (.+)$", re.MULTILINE)
Samples = dict[str, list[tuple[dict[str, str], float]]]
"""Labels and values by the name of the series, as Prometheus stores it: the library's parser renames counters."""


def parsed(text: str) -> Samples:
    """The samples of a scrape."""
    found: Samples = {}
    for name, labels, value in SAMPLE.findall(text):
        found.setdefault(name, []).append((dict(LABEL.findall(labels)), float(value)))
    return found


def kinds(text: str) -> dict[str, str]:
    """The type of each family, also of those without a sample."""
    return dict(TYPE.findall(text))


def ours(text: str) -> set[str]:
    """The families that Pillion counts itself."""
    return {name for name in kinds(text) if name.startswith("pillion_")}


def expected(where: set[Where]) -> set[str]:
    """The families of our own that processes of these kinds show."""
    return {metric.name for metric in catalog.OWN if metric.where in where}


def otherwise(text: str, metrics: Iterable[Metric]) -> list[str]:
    """What the scrape has of these metrics otherwise than the list says: type, help, labels, and their known values."""
    told, types, words = parsed(text), kinds(text), dict(HELP.findall(text))
    wrong = []
    for metric in metrics:
        if types.get(metric.name, metric.kind) != metric.kind:
            wrong.append(f"{metric.name} is a {types[metric.name]}")
        if words.get(metric.name, metric.help) != metric.help:
            wrong.append(f"{metric.name}: {words[metric.name]}")
        own = {"le"} if metric.kind is Kind.HISTOGRAM else set()
        for labels, _ in told.get(metric.series[0], []):
            if set(labels) - own != set(metric.labels):
                wrong.append(f"{metric.name} has labels {sorted(labels)}")
            wrong += [
                f"{metric.name} has {label} {labels[label]}"
                for label, known in metric.labels.items()
                if known and labels.get(label) not in known
            ]
    return wrong
