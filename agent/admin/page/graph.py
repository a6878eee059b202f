"""Who calls whom, drawn as SVG: callers to the left of what they call, one box a service.

Layers by the longest way from who is called by nobody; an edge that would lead back (services that call each other
in a circle) does not count for the layers. Rows keep the order of names, moved once towards their callers.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.admin.page.markup import EMPTY, Markup, tag

BOX_WIDTH, BOX_HEIGHT = 150, 34
ACROSS, DOWN = 230, 54
MOST = 60
"""Services that are drawn; a table tells of all."""
SHORT = 18
"""Characters of a name in its box; the whole name is its tooltip."""

Place = tuple[float, float]


def drawn(names: Iterable[str], edges: Sequence[Mapping[str, Any]], front: str) -> Markup:
    """The graph; ``front`` is the gateway, in the first layer. Empty without any service."""
    everyone = [front, *(name for name in names if name != front)][:MOST]
    if len(everyone) < 2:
        return EMPTY
    pairs = [(edge["caller"], edge["called"]) for edge in edges]
    kept = [pair for pair in pairs if set(pair) <= set(everyone) and pair[0] != pair[1]]
    places = placed(everyone, kept, front)
    width = max(across for across, _ in places.values()) + BOX_WIDTH + 10
    height = max(down for _, down in places.values()) + BOX_HEIGHT + 10
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


def layers(names: Sequence[str], edges: Iterable[tuple[str, str]], front: str) -> dict[str, int]:
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


def placed(names: Sequence[str], edges: Sequence[tuple[str, str]], front: str) -> dict[str, Place]:
    """The upper left corner of each box. Pure."""
    column = layers(names, edges, front)
    # Nobody calls these and they call nobody: beside what is called, not beside the gateway.
    idle = {name for name in names if name != front and not any(name in edge for edge in edges)}
    column |= dict.fromkeys(idle, 1)
    callers: dict[str, list[str]] = defaultdict(list)
    for caller, callee in edges:
        callers[callee].append(caller)
    rows: dict[str, int] = {}
    for layer in range(max(column.values()) + 1):
        inside = [name for name in names if column[name] == layer]
        inside.sort(key=lambda name: (_middle([rows[one] for one in callers[name] if one in rows]), name))
        rows |= {name: row for row, name in enumerate(inside)}
    return {name: (5.0 + column[name] * ACROSS, 5.0 + rows[name] * DOWN) for name in names}


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


def _edge(edge: Mapping[str, Any], places: Mapping[str, Place]) -> Markup:
    """A curve from the caller's right side to the left side of what it calls, thicker for more requests."""
    (from_x, from_y), (to_x, to_y) = places[edge["caller"]], places[edge["called"]]
    start, end = (from_x + BOX_WIDTH, from_y + BOX_HEIGHT / 2), (to_x, to_y + BOX_HEIGHT / 2)
    bend = max(40.0, abs(end[0] - start[0]) / 2)
    begin, out = f"{start[0]:.0f} {start[1]:.0f}", f"{end[0]:.0f} {end[1]:.0f}"
    curve = f"M{begin}C{start[0] + bend:.0f} {start[1]:.0f} {end[0] - bend:.0f} {end[1]:.0f} {out}"
    said = f"{edge['caller']} → {edge['called']}: {edge['requests']} requests, {edge['failed']} failed"
    thick = 1 + min(4, len(str(edge["requests"])) - 1)
    kind = "edge failing" if edge["failed"] * 100 > edge["requests"] else "edge"
    return tag(
        "g",
        tag("title", said),
        tag("path", d=curve, stroke_width=thick),
        tag("circle", cx=f"{end[0]:.0f}", cy=f"{end[1]:.0f}", r=3 + thick / 2),
        class_=kind,
    )
