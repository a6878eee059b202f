"""A small plot of one line over the last hour, as SVG."""

from collections.abc import Iterator, Sequence

from agent.admin.page.markup import Markup, duration, tag

WIDTH, HEIGHT = 600, 80
HOUR = 3600.0
GAP = 60.0
"""Seconds without a point after which the line breaks: another agent relayed, or this one was away."""
LEAST = 1.0
"""Seconds of lag that the plot is high at least: noise of milliseconds is not to look like mountains."""


def lag(points: Sequence[tuple[float, float]], now: float) -> Markup:
    """(seconds since the epoch, seconds of lag) of the hour before ``now``."""
    top = max([LEAST, *(value for _, value in points)])
    lines = [
        tag("polyline", points=" ".join(_place(at, value, now, top) for at, value in run), class_="line")
        for run in runs(points)
    ]
    said = f"Lag over the last hour: at most {duration(max(value for _, value in points))}"
    return tag(
        "figure",
        tag(
            "svg",
            tag("title", said),
            tag("line", x1="0", x2=WIDTH, y1=HEIGHT, y2=HEIGHT, class_="axis"),
            *lines,
            view_box=f"0 -4 {WIDTH} {HEIGHT + 8}",
            preserveAspectRatio="none",
            role="img",
            class_="plot",
        ),
        tag("figcaption", tag("span", "an hour ago"), tag("span", said), tag("span", "now")),
    )


def runs(points: Sequence[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    """The points in pieces without a gap; a lone point is drawn as a short line."""
    piece: list[tuple[float, float]] = []
    for point in points:
        if piece and point[0] - piece[-1][0] > GAP:
            yield _drawn(piece)
            piece = []
        piece.append(point)
    if piece:
        yield _drawn(piece)


def _drawn(piece: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return piece if len(piece) > 1 else [(piece[0][0] - 20.0, piece[0][1]), piece[0]]


def _place(at: float, value: float, now: float, top: float) -> str:
    across = min(1.0, max(0.0, 1 - (now - at) / HOUR)) * WIDTH
    return f"{across:.1f},{HEIGHT - value / top * HEIGHT:.1f}"
