"""The whole page."""

from collections.abc import Mapping
from typing import Any

from agent.admin.page import configuration, instance, outbox, system, upstreams
from agent.admin.page.markup import EMPTY, Markup, joined, mark, section, table, tag, words


def page(status: Mapping[str, Any]) -> str:
    """The page as HTML; everything in ``status`` is escaped, because much of it was written by others."""
    agent = status["agent"]
    name = agent.get("service") or "gateway"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{name} - Pillion"),
        tag("link", rel="icon", href="icon.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href="page.css"),
        tag("script", src="page.js", defer=""),
    )
    body = tag("body", _top(name, status), tag("main", *_parts(status)), _bottom())
    return f"<!doctype html>{tag('html', head, body, lang='en')}\n"


def _top(name: str, status: Mapping[str, Any]) -> Markup:
    ready = status["ready"]
    return tag(
        "header",
        tag("h1", name, " ", mark("ready", "ok") if ready else mark("not ready", "bad")),
        tag("p", status["agent"].get("instance", ""), class_="plain"),
        tag("ul", *(tag("li", reason) for reason in status["reasons"])) if status["reasons"] else EMPTY,
        tag("p", "No answer from the agent; what is shown is old.", id="away", role="status", hidden=""),
        id="top",
    )


def _parts(status: Mapping[str, Any]) -> tuple[Markup, ...]:
    history = status.get("history", {})
    return (
        instance.shown(status),
        system.shown(status),
        upstreams.shown(status),
        outbox.shown(status.get("outbox"), history),
        configuration.changes(history),
        configuration.slowest(history),
        _components(status["components"]),
        _review(status["review"]),
    )


def _components(components: Mapping[str, Any]) -> Markup:
    kinds = {"ok": "ok", "starting": "plain", "degraded": "warn", "stopped": "bad"}
    rows = (
        (name, mark(report["state"], kinds.get(report["state"], "plain")), words(report["detail"]))
        for name, report in components.items()
        if report["state"] != "ok" or report["detail"]
    )
    well = [name for name, report in components.items() if report["state"] == "ok" and not report["detail"]]
    rest = tag("p", mark("ok", "ok"), " ", ", ".join(well)) if well else EMPTY
    return section("Components", table(("component", "state", "what it says"), rows), rest)


def _review(review: Mapping[str, Any]) -> Markup:
    rows = [
        (count, sentence)
        for kind, count in (("problems", "left out"), ("conflicts", "conflict"))
        for sentence in review[kind]
    ]
    shown = len(review["problems"]) + len(review["conflicts"])
    more = int(review["problem_count"]) + int(review["conflict_count"]) - shown
    if more > 0:
        rows.append(("", f"{more} more"))
    return section("What others registered", table(("", "what"), rows))


def _bottom() -> Markup:
    links = joined(
        (tag("a", "The same as JSON", href="status"), " · ", tag("a", "Metrics", href="metrics"), " · ")
    )
    return tag("footer", links, tag("button", "Pause", id="pause", type="button", hidden=""))
