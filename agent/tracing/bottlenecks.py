"""Where the time of many requests goes: operations ranked by self time. Pure; microseconds."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent.tracing import times, traces
from agent.tracing.hops import Hop, hop, walked
from agent.tracing.traces import Span
from agent.tracing.tree import grown

BETWEEN = "(network and sidecars)"
"""The operation to which the time between two services is put, under the one that was called."""

MOST = 2000
"""Operations that are told apart; the calls of further ones are put together."""

OTHERS = "(other operations)"


@dataclass(frozen=True)
class Operation:
    """What one service does under one name, in all requests that were looked at."""

    service: str
    name: str
    calls: int
    failures: int
    total: int
    """Self time of all calls together."""
    share: float
    """Of the self time of everything, 0 to 1."""
    waited: int
    """On critical paths: what requests really waited for."""
    waited_share: float
    """Of all critical paths, 0 to 1."""
    median: int
    """Self time of one call: half took no longer."""
    slow: int
    """Self time of one call: 95 of 100 took no longer."""


@dataclass(frozen=True)
class Ranking:
    """The operations, those with the most self time first, and what they were made of."""

    operations: tuple[Operation, ...]
    traces: int
    spans: int
    partial: int
    """Traces in which a parent was missing."""


@dataclass
class _Sums:
    took: list[int] = field(default_factory=list)
    failures: int = 0
    waited: int = 0

    def add(self, took: int, waited: int, failed: bool = False) -> None:
        self.took.append(took)
        self.waited += waited
        self.failures += failed


def ranked(found: Iterable[Sequence[Span]]) -> Ranking:
    """The ranking of these traces; what nobody waited for (an event sent afterwards) counts as work as well."""
    sums: defaultdict[tuple[str, str], _Sums] = defaultdict(_Sums)
    counts: Counter[str] = Counter()
    for spans in found:
        forest = grown(spans)
        counts.update(traces=1, spans=len(spans), partial=int(len(forest.roots) > 1))
        main = forest.main
        path = times.on_path(times.critical_path(main)) if main else {}
        for root in forest.roots:
            for one, _ in walked(hop(root)):
                _note(sums, one, path)
    return Ranking(_operations(sums), counts["traces"], counts["spans"], counts["partial"])


def _note(sums: defaultdict[tuple[str, str], _Sums], one: Hop, path: dict[str, int]) -> None:
    span = one.span
    name = traces.class_of(span)
    if (span.service, name) not in sums and len(sums) >= MOST:
        name = OTHERS
    inner = path.get(span.id, 0)
    sums[span.service, name].add(one.self_time, inner, one.failed)
    if len(one.nodes) > 1:
        sums[span.service, BETWEEN].add(one.between, one.waited(path) - inner)


def _operations(sums: dict[tuple[str, str], _Sums]) -> tuple[Operation, ...]:
    everything = sum(sum(one.took) for one in sums.values())
    all_waited = sum(one.waited for one in sums.values())
    found = [
        Operation(
            service, name, len(one.took), one.failures,
            total=sum(one.took), share=_part(sum(one.took), everything),
            waited=one.waited, waited_share=_part(one.waited, all_waited),
            median=quantile(one.took, 0.5), slow=quantile(one.took, 0.95),
        )
        for (service, name), one in sums.items()
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda one: (-one.total, one.service, one.name)))


def quantile(values: Sequence[int], share: float) -> int:
    """The smallest value that at least ``share`` of all values do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _part(of: int, whole: int) -> float:
    return of / whole if whole else 0.0
