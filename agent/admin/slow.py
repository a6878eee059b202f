"""Which operations were slowest lately, told from histograms that only ever rise."""

from collections import deque
from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from agent.metrics.families import inbox, outbox, proxy
from agent.model.history import Slow
from agent.model.traffic import Buckets

SLOT = 300.0
"""Seconds of which the slowest is kept."""
SLOTS = 12
OPERATIONS = 250
"""Operations that are watched: a hundred upstreams and what the agent does itself."""
SHOWN = 10

OWN = {
    proxy.PLANS.name: "planning Envoy's configuration",
    proxy.DELIVERY.name: "Envoy taking a configuration",
    outbox.PAGE.name: "publishing events of {feed}",
    inbox.SECONDS.name: "the service taking a message of {topic}",
}
"""The agent's own histograms and what they measure."""


class Slowest:
    """Takes in histograms in turn and remembers the slowest of each operation for an hour."""

    def __init__(self) -> None:
        self._before: dict[str, dict[float, int]] = {}
        self._slots: dict[str, deque[Slow]] = {}

    def begin(self, histograms: Mapping[str, Buckets]) -> None:
        """What was counted before anybody looked is from an unknown time."""
        for operation, buckets in list(histograms.items())[:OPERATIONS]:
            self._before.setdefault(operation, dict(buckets))

    def add(self, now: float, histograms: Mapping[str, Buckets]) -> None:
        """The present state of the histograms, by operation."""
        for operation, buckets in histograms.items():
            if operation not in self._before and len(self._before) >= OPERATIONS:
                continue
            found = slowest(operation, now, self._before.get(operation, {}), buckets)
            self._before[operation] = dict(buckets)
            if found is not None:
                self._keep(found)

    def read(self, now: float) -> tuple[Slow, ...]:
        """The slowest of the last hour, one of each operation, slowest first."""
        worst = []
        for slots in self._slots.values():
            recent = [one for one in slots if one.at > now - SLOT * SLOTS]
            if recent:
                worst.append(max(recent, key=_rank))
        return tuple(sorted(worst, key=_rank, reverse=True)[:SHOWN])

    def _keep(self, found: Slow) -> None:
        slots = self._slots.setdefault(found.operation, deque(maxlen=SLOTS))
        if not slots or slots[-1].at // SLOT != found.at // SLOT:
            slots.append(found)
        elif _rank(found) >= _rank(slots[-1]):
            slots[-1] = found


def slowest(operation: str, now: float, before: Buckets, buckets: Buckets) -> Slow | None:
    """The slowest of what was counted between two states of a histogram; None where nothing was. Pure.

    A counter that fell was begun anew: then all of it is new.
    """
    bounds = sorted(buckets)
    if any(buckets[bound] < before.get(bound, 0) for bound in bounds):
        before = {}
    rises = [buckets[bound] - before.get(bound, 0) for bound in bounds]
    if not rises or not rises[-1]:
        return None
    at = next(index for index, rise in enumerate(rises) if rise == rises[-1])
    below = rises[at - 1] if at else 0
    within = None if bounds[at] == float("inf") else bounds[at]
    return Slow(operation, now, within, bounds[at - 1] if at else 0.0, rises[-1] - below, rises[-1])


def own(collectors: CollectorRegistry) -> dict[str, dict[float, int]]:
    """The agent's own histograms by operation."""
    found: dict[str, dict[float, int]] = {}
    for family in collectors.collect():
        words = OWN.get(family.name)
        for sample in family.samples if words else ():
            if sample.name.endswith("_bucket") and words:
                labels = dict(sample.labels)
                bound = float(labels.pop("le"))
                found.setdefault(words.format(**labels), {})[bound] = int(sample.value)
    return found


def _rank(one: Slow) -> tuple[float, int]:
    return one.beyond, one.count
