"""The status page: what ``status`` says, readable in a browser without any other resource."""

import html
from collections.abc import Iterable, Mapping
from typing import Any

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:62em;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25em .8em .25em 0;"
    "border-bottom:1px solid #ddd;vertical-align:top}h2{font-size:1.1em;margin-top:2em}"
    ".ok{color:#176f2c}.bad{color:#a3120a}"
)


def page(status: Mapping[str, Any]) -> str:
    """The page as HTML; everything in ``status`` is escaped, because much of it was written by others."""
    agent = status["agent"]
    title = f"{agent.get('service') or 'gateway'} - Pillion"
    ready = status["ready"]
    word = f'<p class="{"ok" if ready else "bad"}"><b>{"Ready" if ready else "Not ready"}</b></p>'
    parts = [
        word,
        _list(status["reasons"]),
        _table("This agent", ("", ""), agent.items()),
        _components(status["components"]),
        _table("Addresses", ("name", "address"), status["ports"].items()),
        _envoy(status["envoy"]),
        _upstreams(status["upstreams"]),
        _review(status["review"]),
    ]
    for name in ("registration", "service", "verdict", "hook", "store", "outbox"):
        if status.get(name) is not None:
            value = status[name]
            rows = value.items() if isinstance(value, Mapping) else [(name, value)]
            parts.append(_table(name.capitalize(), ("", ""), rows))
    body = "".join(parts)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{_text(title)}</h1>{body}"
        '<p><a href="/status">The same as JSON</a> · <a href="/metrics">Metrics</a></p></body></html>\n'
    )


def _components(components: Mapping[str, Any]) -> str:
    rows = ((name, report["state"], report["detail"]) for name, report in components.items())
    return _table("Components", ("component", "state", ""), rows)


def _envoy(envoy: Mapping[str, Any]) -> str:
    rows: list[tuple[Any, ...]] = [
        ("connected", "yes" if envoy["connected"] else "no"),
        ("configuration in force", envoy["in_force"] or "none"),
        ("newest configuration", envoy["sent"] or "none"),
    ]
    rows += [(f"refused {one['type']}", one["message"]) for one in envoy["refusals"]]
    return _table("Envoy", ("", ""), rows)


def _upstreams(upstreams: Mapping[str, Any]) -> str:
    rows = []
    for name, service in upstreams.items():
        for instance in service["instances"] or [{"address": "none passing", "versions": [], "zone": ""}]:
            stale = " (last known)" if service["stale"] else ""
            versions = ", ".join(instance["versions"])
            rows.append((name + stale, instance["address"], versions, instance["zone"]))
    return _table("Upstreams", ("service", "instance", "versions", "zone"), rows)


def _review(review: Mapping[str, Any]) -> str:
    rows = [
        (count, sentence)
        for kind, count in (("problems", "left out"), ("conflicts", "conflict"))
        for sentence in review[kind]
    ]
    rows += [("", f"{more} more") for more in [_more(review)] if more]
    return _table("What others registered", ("", ""), rows)


def _more(review: Mapping[str, Any]) -> int:
    shown = len(review["problems"]) + len(review["conflicts"])
    return int(review["problem_count"]) + int(review["conflict_count"]) - shown


def _table(title: str, heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    lines = ["".join(f"<td>{_text(_words(cell))}</td>" for cell in row) for row in rows]
    if not lines:
        return ""
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<h2>{_text(title)}</h2><table><tr>{head}</tr>{body}</table>"


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _words(value: Any) -> str:
    """A value in plain words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_words(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_words(inner) for inner in value)
    return "" if value is None else str(value)


def _text(value: str) -> str:
    return html.escape(value, quote=True)
