"""Who calls whom, drawn as SVG: callers to the left of what they call, one box a service.

Layers by the longest way from who is called by nobody; an edge that would lead back (services that call each other
in a circle) does not count for the layers and is drawn below. An edge over several layers has a free place in each,
so that no line runs behind a box. Rows follow the middle of their callers.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from agent.admin.page.markup import EMPTY, Markup, tag

BOX_WIDTH, BOX_HEIGHT = 150, 34
ACROSS, DOWN = 230, 54
MOST = 60
"""Services that are drawn; a table tells of all."""
SHORT = 18
"""Characters of a name in its box; the whole name is its tooltip."""

BELOW = 24
"""Room below the boxes for lines that lead back."""

Place = tuple[float, float]
Pair = tuple[str, str]
"""Caller and called."""
Gap = tuple[str, str, int]
"""A free place in a layer for the edge of a caller to what it calls."""
Node = str | Gap


def drawn(names: Iterable[str], edges: Sequence[Mapping[str, Any]], front: str) -> Markup:
    """The graph; ``front`` is the gateway, in the first layer. Empty without any service."""
    everyone = [front, *(name for name in names if name != front)][:MOST]
    if len(everyone) < 2:
        return EMPTY
    pairs = [(edge["caller"], edge["called"]) for edge in edges]
    kept = [pair for pair in pairs if set(pair) <= set(everyone) and pair[0] != pair[1]]
    places = placed(everyone, kept, front)
    width = max(across for across, _ in places.values()) + BOX_WIDTH + 10
    height = max(down for _, down in places.values()) + BOX_HEIGHT + BELOW
    lines = [_edge(edge, places) for edge in edges if (edge["caller"], edge["called"]) in set(kept)]
    boxes = [_box(name, places[name], name == front) for name in everyone]
    return tag(
        "div",
        tag(
            "svg",
            tag("title", "Who calls whom"),
            *lines,
            *boxes,
            view_box=f"0 0 {width:.0f} {height:.0f}",
            width=f"{width:.0f}",
            height=f"{height:.0f}",
            role="img",
            class_="graph",
        ),
        class_="scroll",
        tabindex="0",
    )


def layers(names: Sequence[str], edges: Iterable[Pair], front: str) -> dict[str, int]:
    """Which column each is in. Pure."""
    called: dict[str, list[str]] = defaultdict(list)
    for caller, callee in sorted(edges):
        called[caller].append(callee)
    column = dict.fromkeys(names, 0)
    forward, state = _forward(names, called, front)
    for name in reversed(state):
        for callee in forward[name]:
            column[callee] = max(column[callee], column[name] + 1)
    return column


def _forward(
    names: Sequence[str], called: Mapping[str, list[str]], front: str
) -> tuple[dict[str, list[str]], list[str]]:
    """The edges without those that lead back, and the names such that what is called comes before its callers."""
    forward: dict[str, list[str]] = {name: [] for name in names}
    finished: list[str] = []
    entered: set[str] = set()
    for root in [front, *(name for name in names if name != front)]:
        if root in entered:
            continue
        entered.add(root)
        path = [(root, iter(called.get(root, ())))]
        while path:
            name, rest = path[-1]
            callee = next(rest, None)
            if callee is None:
                finished.append(name)
                path.pop()
            elif callee not in entered:
                forward[name].append(callee)
                entered.add(callee)
                path.append((callee, iter(called.get(callee, ()))))
            elif callee in finished:
                forward[name].append(callee)
    return forward, finished


def placed(names: Sequence[str], edges: Sequence[Pair], front: str) -> dict[Node, Place]:
    """The upper left corner of each box, and of the gap that a long edge takes in each layer that it passes. Pure."""
    first = layers(names, edges, front)
    column: dict[Node, int] = {name: first[name] for name in names}
    # Nobody calls these and they call nobody: beside what is called, not beside the gateway.
    idle = {name for name in names if name != front and not any(name in edge for edge in edges)}
    column |= dict.fromkeys(idle, 1)
    before: dict[Node, list[Node]] = defaultdict(list)
    for caller, callee in edges:
        way = passed(caller, callee, column)
        column |= {gap: gap[2] for gap in way}
        whole: list[Node] = [caller, *way, callee]
        for one, other in pairwise(whole):
            before[other].append(one)
    rows: dict[Node, int] = {}
    for layer in range(max(column.values()) + 1):
        inside = [node for node in column if column[node] == layer]
        inside.sort(key=lambda node: (_middle([rows[one] for one in before[node] if one in rows]), str(node)))
        rows |= {node: row for row, node in enumerate(inside)}
    return {node: (5.0 + column[node] * ACROSS, 5.0 + rows[node] * DOWN) for node in column}


def passed(caller: str, callee: str, column: Mapping[Node, int]) -> list[Gap]:
    """The gaps that an edge needs between its ends; none for one that leads back. Pure."""
    return [(caller, callee, layer) for layer in range(column[caller] + 1, column[callee])]


def _middle(rows: Sequence[int]) -> float:
    return sum(rows) / len(rows) if rows else float("inf")


def _box(name: str, place: Place, front: bool) -> Markup:
    across, down = place
    short = name if len(name) <= SHORT else f"{name[: SHORT - 1]}…"
    return tag(
        "g",
        tag("title", name),
        tag("rect", x=f"{across:.0f}", y=f"{down:.0f}", width=BOX_WIDTH, height=BOX_HEIGHT, rx=6),
        tag("text", short, x=f"{across + BOX_WIDTH / 2:.0f}", y=f"{down + 22:.0f}", text_anchor="middle"),
        class_="box front" if front else "box",
    )


def _edge(edge: Mapping[str, Any], places: Mapping[Node, Place]) -> Markup:
    """A line from the caller to what it calls, thicker for more requests."""
    caller, callee = edge["caller"], edge["called"]
    forward = places[caller][0] < places[callee][0]
    curve, end = _through(caller, callee, places) if forward else _back(places[caller], places[callee])
    said = f"{caller} → {callee}: {edge['requests']} requests, {edge['failed']} failed"
    thick = 1 + min(4, len(str(edge["requests"])) - 1)
    return tag(
        "g",
        tag("title", said),
        tag("path", d=curve, stroke_width=thick),
        tag("circle", cx=f"{end[0]:.0f}", cy=f"{end[1]:.0f}", r=3 + thick / 2),
        class_="edge failing" if edge["failed"] * 100 > edge["requests"] else "edge",
    )


def _through(caller: str, callee: str, places: Mapping[Node, Place]) -> tuple[str, Place]:
    """From the caller's right side to the left side of what it calls, through the gaps between; and where it ends."""
    gaps = sorted(
        (node for node in places if isinstance(node, tuple) and node[:2] == (caller, callee)), key=_layer
    )
    half = BOX_HEIGHT / 2
    across, down = places[caller][0] + BOX_WIDTH, places[caller][1] + half
    path = f"M{across:.0f} {down:.0f}"
    whole: list[Node] = [*gaps, callee]
    for node in whole:
        to, level = places[node][0], places[node][1] + half
        bend = (to - across) / 2
        path += f"C{across + bend:.0f} {down:.0f} {to - bend:.0f} {level:.0f} {to:.0f} {level:.0f}"
        across, down = to, level
        if node != callee:
            across += BOX_WIDTH
            path += f"H{across:.0f}"
    return path, (across, down)


def _back(start: Place, end: Place) -> tuple[str, Place]:
    """Below the boxes, for services that call each other in a circle; and where it ends."""
    half = BOX_WIDTH / 2
    (from_x, from_y), (to_x, to_y) = ((across + half, down + BOX_HEIGHT) for across, down in (start, end))
    low = max(from_y, to_y) + BELOW
    return f"M{from_x:.0f} {from_y:.0f}C{from_x:.0f} {low:.0f} {to_x:.0f} {low:.0f} {to_x:.0f} {to_y:.0f}", (
        to_x,
        to_y,
    )


def _layer(gap: Gap) -> int:
    return gap[2]
