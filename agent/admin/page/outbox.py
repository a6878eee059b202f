"""The outbox: a block for each feed, with its lag over the last hour."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.admin.page import plot
from agent.admin.page.markup import Markup, duration, facts, joined, mark, section, tag, words


def shown(outbox: Any, history: Mapping[str, Any]) -> Markup:
    """Empty where there is none."""
    if outbox is None:
        return Markup()
    if isinstance(outbox, Mapping):
        return section("Outbox", tag("p", words(outbox)))
    lags = history.get("lag", {})
    return section("Outbox", *(_feed(feed, lags.get(feed["feed"], ()), history) for feed in outbox))


def _feed(
    feed: Mapping[str, Any], points: Sequence[tuple[float, float]], history: Mapping[str, Any]
) -> Markup:
    active = feed["role"] == "active"
    aside = feed["set_aside"]
    title = tag("h3", feed["feed"], " ", mark(feed["role"], "ok" if active else "plain"))
    rows = [
        ("relayed by", feed["owner"] or "nobody that is known"),
        ("lag", duration(feed["lag"]) if active else ""),
        ("published", f"{feed['published']} events, {feed['rate']} a second lately" if active else ""),
        ("parked", _parked(aside)),
        ("problem", joined((mark("problem", "bad"), " ", feed["problem"])) if feed["problem"] else ""),
        ("warnings", words(feed["warnings"])),
        *(("stopped", _stopped(one)) for one in feed["stopped"]),
    ]
    drawn = plot.lag(points, history["now"]) if points else Markup()
    return tag("article", title, facts(rows), drawn)


def _parked(aside: Mapping[str, Any]) -> str:
    if not aside["rows"] and not aside["parked"]:
        return "nothing is set aside"
    waits = mark(f"keys that wait for a person: {aside['parked']}", "bad" if aside["parked"] else "plain")
    rest = (
        f" tried again: {aside['held']}, being sent: {aside['replaying']}; {aside['rows']} rows in all, the "
        f"oldest for {duration(aside['oldest'])}. pillion outbox parked lists them."
    )
    return joined((waits, rest))


def _stopped(one: Mapping[str, Any]) -> Markup:
    said = f" stands behind row {one['row']} for {duration(one['seconds'])}: {one['reason']}"
    return joined((mark(f"bucket {one['bucket']}", "bad"), said))
