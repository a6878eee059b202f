"""The request's path as one thinks of it: one line a call, though several spans measured it. Pure.

A call between two services has a span of the caller's sidecar and one of the callee's, and where the services
measure themselves two more. They are one hop: its self time is the callee's, the rest was spent between them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from agent.tracing import times, traces
from agent.tracing.traces import Span
from agent.tracing.tree import Node

MESH = "upstream_"
"""How Pillion's clusters of other services begin; such a call is to have a span of the callee's."""


@dataclass(frozen=True)
class Hop:
    """A call, or a piece of work of its own. Times in microseconds."""

    nodes: tuple[Node, ...]
    """Its spans, from the caller's to the innermost."""
    children: tuple["Hop", ...] = field(default=(), repr=False)
    """By start."""

    @property
    def outer(self) -> Node:
        """What the caller saw."""
        return self.nodes[0]

    @property
    def inner(self) -> Node:
        """What was done."""
        return self.nodes[-1]

    @property
    def span(self) -> Span:
        """The span that names the hop."""
        return self.inner.span

    @property
    def duration(self) -> int:
        """As long as the caller waited."""
        return self.outer.duration

    @property
    def self_time(self) -> int:
        """The innermost span's own work."""
        return times.self_time(self.inner)

    @property
    def between(self) -> int:
        """On the way: network, sidecars, tries; what the outer spans lasted beyond the inner ones."""
        return sum(times.self_time(node) for node in self.nodes[:-1])

    @property
    def failed(self) -> bool:
        """Whether the caller got an error."""
        return traces.failed(self.outer.span)

    @property
    def unanswered(self) -> bool:
        """Whether it is a call within the mesh of which the callee's span is missing."""
        span = self.span
        cluster = span.word("upstream_cluster.name", "upstream_cluster")
        reached = bool(traces.status(span)) and not traces.flags(span)
        return span.kind == "client" and cluster.startswith(MESH) and reached and not self.children

    @property
    def attempts(self) -> int:
        """How often the caller's sidecar tried, 1 where it does not say."""
        told = self.outer.span.word("upstream_attempts")
        return max(1, int(told)) if told.isascii() and told.isdigit() and len(told) < 6 else 1

    def waited(self, path: Mapping[str, int]) -> int:
        """How much of the critical path it is; ``path`` as ``times.on_path``."""
        return sum(path.get(node.span.id, 0) for node in self.nodes)


def hop(root: Node) -> Hop:
    """The tree of nodes as a tree of hops."""
    chains: list[tuple[Node, ...]] = []
    waiting = [root]
    while waiting:
        chain = _chain(waiting.pop())
        chains.append(chain)
        waiting += chain[-1].children
    built: dict[str, Hop] = {}
    for chain in reversed(chains):
        children = tuple(built.pop(child.span.id) for child in chain[-1].children)
        built[chain[0].span.id] = Hop(chain, children)
    return built[root.span.id]


def walked(root: Hop) -> Iterator[tuple[Hop, tuple[bool, ...]]]:
    """All hops, each before its children, with whether it and each hop above it is the last of its parent's."""
    waiting: list[tuple[Hop, tuple[bool, ...]]] = [(root, ())]
    while waiting:
        one, last = waiting.pop()
        yield one, last
        count = len(one.children)
        waiting += [
            (child, (*last, number == count - 1)) for number, child in reversed(list(enumerate(one.children)))
        ]


def _chain(node: Node) -> tuple[Node, ...]:
    found = [node]
    while len(found[-1].children) == 1 and _is_one_call(found[-1], found[-1].children[0]):
        found.append(found[-1].children[0])
    return tuple(found)


def _is_one_call(outer: Node, inner: Node) -> bool:
    kinds = outer.span.kind, inner.span.kind
    if inner.apart:
        return False
    if kinds == ("client", "server"):
        return True
    same = outer.span.service == inner.span.service
    return same and kinds in {("server", "server"), ("client", "client")}
