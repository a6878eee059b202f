"""What a panel is."""

import enum
from dataclasses import dataclass

SELECTED = ('job=~"$job"', 'service=~"$service"', 'instance=~"$instance"')
"""What the dashboard's variables choose."""
SERVICES = SELECTED[:2]
"""The same without the instance: for what belongs to a service as a whole."""

OVER = "$__rate_interval"
"""Grafana's own choice of a range for rates: four scrapes at least."""


class Shown(enum.StrEnum):
    """Grafana's kinds of panel."""

    LINES = "timeseries"
    NUMBER = "stat"


class Unit(enum.StrEnum):
    """Grafana's units for what is no plain value of a metric."""

    EACH_SECOND = "cps"
    REQUESTS = "reqps"
    SECONDS = "s"
    SHARE = "percentunit"


@dataclass(frozen=True)
class Target:
    """One question; ``legend`` is Grafana's template for a line's name."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One panel."""

    title: str
    targets: tuple[Target, ...]
    note: str = ""
    """What its metrics' own texts do not say."""
    unit: Unit | None = None
    """None: the metric's own."""
    shown: Shown = Shown.LINES
    most: float | None = None
    """The axis' upper end, where there is one."""


@dataclass(frozen=True)
class Part:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]
