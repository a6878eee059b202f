"""Spans as trees, on one clock: a span lies within the one that waited for it. Pure.

Machines' clocks differ, spans get lost, and what others write may be nonsense: a parent that never came, an id
twice, a circle. All of it becomes a tree that says what was done to it.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.tracing.traces import Span, failed

NEAR = 1000
"""Microseconds that a span may stick out of its parent without anybody being told."""

REMOTE = {"client": "server", "producer": "consumer"}


@dataclass(frozen=True)
class Node:
    """A span in its place. Times are whole microseconds since the epoch, put right and cut to the parent's."""

    span: Span
    start: int
    end: int
    children: tuple["Node", ...] = field(default=(), repr=False)
    """By start."""
    skew: int = 0
    """Microseconds that were added to what its machine's clock had told."""
    cut: bool = False
    """It began before its parent or went on after it, by more than ``NEAR``; what lies outside is left out."""
    apart: bool = False
    """It began when its parent had ended: nobody waited for it."""

    @property
    def duration(self) -> int:
        """Microseconds between start and end."""
        return self.end - self.start

    @property
    def awaited(self) -> tuple["Node", ...]:
        """The children that this span waited for, or may have."""
        return tuple(child for child in self.children if not child.apart)


@dataclass(frozen=True)
class Forest:
    """A trace: one tree when all spans came, more when some did not."""

    roots: tuple[Node, ...]
    """By start."""
    missing: tuple[str, ...]
    """Ids of parents that are not there, of the roots that have one."""

    @property
    def main(self) -> Node | None:
        """The tree that stands for the request: the one without a parent, else the longest."""
        whole = [root for root in self.roots if root.span.parent is None]
        return max(whole or self.roots, key=lambda root: (root.duration, -root.start), default=None)


@dataclass(frozen=True)
class _Place:
    """Where a span goes: its own times, those that are left of it, and what was done."""

    start: int
    end: int
    delta: int = 0
    skew: int = 0
    cut: bool = False
    apart: bool = False


def grown(spans: Sequence[Span]) -> Forest:
    """The trees of one trace's spans, in whatever order these came."""
    known: dict[str, Span] = {}
    for span in sorted(spans, key=lambda one: (one.start, one.id, -one.duration)):
        known.setdefault(span.id, span)
    below: defaultdict[str, list[Span]] = defaultdict(list)
    roots = []
    for span in known.values():
        if span.parent is None or span.parent not in known:
            roots.append(span)
        else:
            below[span.parent].append(span)
    roots += _circular(known, roots, below)
    order, places = _placed(roots, below)
    built: dict[str, Node] = {}
    for span in reversed(order):
        children = sorted((built[one.id] for one in below[span.id]), key=lambda one: (one.start, one.span.id))
        at = places[span.id]
        built[span.id] = Node(span, at.start, at.end, tuple(children), at.skew, at.cut, at.apart)
    trees = sorted((built[root.id] for root in roots), key=lambda one: (one.start, one.span.id))
    missing = [tree.span.parent for tree in trees if tree.span.parent not in known]
    return Forest(tuple(trees), tuple(dict.fromkeys(one for one in missing if one is not None)))


def _circular(known: dict[str, Span], roots: list[Span], below: dict[str, list[Span]]) -> list[Span]:
    """A root for each circle: the first of its spans, no longer below the one that it names."""
    found: list[Span] = []
    reached: set[str] = set()
    _reach(roots, below, reached)
    for span in known.values():
        if span.id not in reached:
            assert span.parent is not None
            below[span.parent].remove(span)
            found.append(span)
            _reach([span], below, reached)
    return found


def _reach(roots: list[Span], below: dict[str, list[Span]], reached: set[str]) -> None:
    waiting = list(roots)
    while waiting:
        span = waiting.pop()
        reached.add(span.id)
        waiting += below.get(span.id, ())


def _placed(roots: list[Span], below: dict[str, list[Span]]) -> tuple[list[Span], dict[str, _Place]]:
    """All spans, each after its parent, and the place of each."""
    order: list[Span] = []
    places = {root.id: _Place(*_times(root)) for root in roots}
    waiting = deque(roots)
    while waiting:
        span = waiting.popleft()
        order.append(span)
        for child in below.get(span.id, ()):
            places[child.id] = _below(span, places[span.id], child)
            waiting.append(child)
    return order, places


def _times(span: Span) -> tuple[int, int]:
    start = round(span.start * 1e6)
    return start, start + max(0, round(span.duration * 1e6))


def _below(parent: Span, at: _Place, child: Span) -> _Place:
    start, end = _times(child)
    shares = bool(child.instance) and child.instance == parent.instance
    delta = at.delta if shares else _difference(parent, at, child)
    start, end = start + delta, end + delta
    skew = 0 if shares else delta
    if start >= at.end and not (start == at.end == end):
        return _Place(start, end, delta, skew, apart=True)
    cut = start < at.start - NEAR or end > at.end + NEAR
    first = min(max(start, at.start), at.end)
    return _Place(first, max(first, min(end, at.end)), delta, skew, cut)


def _difference(parent: Span, at: _Place, child: Span) -> int:
    """Microseconds by which the child's clock must be wrong; 0 where its times can be true.

    An answer can't begin before its question, and a caller that has its answer waited until that ended. The
    child goes to the middle of its caller, as if the way there took as long as the way back.
    """
    if REMOTE.get(parent.kind) != child.kind or parent.kind != "client":
        return 0
    start, end = _times(child)
    early, late = start < at.start - NEAR, end > at.end + NEAR
    gave_up = late and not early and start < at.end and failed(parent)
    if not (early or late) or gave_up:
        return 0
    room = (at.end - at.start) - (end - start)
    if room >= 0:
        return at.start + room // 2 - start
    return at.start - start if early or start >= at.end else 0
