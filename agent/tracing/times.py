"""Where a request's time went: self times and the critical path. Pure; whole microseconds.

The critical path is found as CRISP does (Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice
Architectures", USENIX ATC 2022): from the end backwards, through the child that finished last.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.tracing.tree import Node

JITTER = 100
"""Microseconds by which two calls one after the other may seem to overlap."""


@dataclass(frozen=True)
class Segment:
    """A stretch of the critical path during which the request waited for this span's own work."""

    node: Node
    start: int
    end: int


def union(intervals: Iterable[tuple[int, int]]) -> int:
    """How long at least one of the intervals lasts."""
    total = 0
    reached: int | None = None
    for start, end in sorted(intervals):
        if reached is None or start > reached:
            total, reached = total + max(0, end - start), max(start, end)
        elif end > reached:
            total, reached = total + end - reached, end
    return total


def self_time(node: Node) -> int:
    """The part of a span in which none of its children ran."""
    return node.duration - union((child.start, child.end) for child in node.awaited)


def critical_path(root: Node) -> tuple[Segment, ...]:
    """What the request waited for at each moment, in the order of time; together exactly as long as ``root``."""
    found: list[Segment] = []
    frames = [_Frame(root, root.end)]
    while frames:
        frame = frames[-1]
        child = frame.last_before()
        if child is None:
            if frame.cursor > frame.node.start:
                found.append(Segment(frame.node, frame.node.start, frame.cursor))
            frames.pop()
            continue
        until = min(child.end, frame.cursor)
        if until < frame.cursor:
            found.append(Segment(frame.node, until, frame.cursor))
        frame.cursor = child.start
        frames.append(_Frame(child, until))
    return tuple(reversed(found))


class _Frame:
    """A span on the way back: up to ``cursor`` it is not yet known what was waited for."""

    def __init__(self, node: Node, cursor: int) -> None:
        self.node = node
        self.cursor = cursor
        # The last is taken first: the one that finished last, of several the longest.
        self._left = sorted(node.awaited, key=lambda one: (one.end, -one.start, one.span.id))

    def last_before(self) -> Node | None:
        """The child that finished last of those that had finished by the cursor; each comes once."""
        while self._left:
            child = self._left.pop()
            if child.end <= self.cursor + JITTER and child.start < self.cursor and child.end > child.start:
                return child
        return None


def on_path(segments: Iterable[Segment]) -> dict[str, int]:
    """How long each span's own work was waited for, by its id."""
    found: dict[str, int] = {}
    for one in segments:
        found[one.node.span.id] = found.get(one.node.span.id, 0) + one.end - one.start
    return found
