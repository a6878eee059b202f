"""What a metric is, as everyone who makes, asks or describes it needs to know it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


class Kind(enum.StrEnum):
    """Prometheus' types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Unit(enum.StrEnum):
    """What one is of; the dashboard shows it."""

    COUNT = "count"
    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    BYTES = "bytes"
    TRUTH = "1 or 0"
    RATIO = "ratio"


class Where(enum.StrEnum):
    """Which scrape holds the metric."""

    AGENT = "every agent"
    SIDECAR = "agents beside a service"
    OUTBOX = "agents that relay an outbox"
    INBOX = "agents with an inbox"
    INJECTOR = "the injector"
    PROMETHEUS = "Prometheus itself, for each target"


@dataclass(frozen=True)
class Metric:
    """One metric. ``labels`` maps each label to all its values where they are known, else to none."""

    name: str
    """As it is exposed and asked for; a counter of our own ends in ``_total``, a histogram's is without ``_bucket``."""
    kind: Kind
    help: str
    """One sentence, also in the scrape."""
    unit: Unit = Unit.COUNT
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    where: Where = Where.AGENT
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, in its unit."""
    meaning: str = ""
    """What to know beyond the help when reading it."""
    late: bool = False
    """It is not in a scrape before the first time it counts."""

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which Prometheus stores it."""
        if self.kind is Kind.HISTOGRAM:
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)


def one_of(*values: str) -> tuple[str, ...]:
    """A label's values where all are known: the series are there from the start, so no first event is missed."""
    return values


ANY: tuple[str, ...] = ()
"""A label's values come with what happens."""
