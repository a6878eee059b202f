"""The whole system, as a gateway sees it: services, versions, who calls whom."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.admin.page import graph
from agent.admin.page.markup import Markup, mark, section, table, tag


def shown(status: Mapping[str, Any]) -> Markup:
    """Empty for an agent beside a service."""
    system = status.get("system")
    if system is None:
        return Markup()
    heads = ("service", "passing", "versions", "calls", "called by")
    known = {*status["upstreams"], status["agent"].get("service", "")}
    edges = [edge for edge in system["calls"] if edge["called"] in known and edge["caller"] in known]
    drawn = graph.drawn([*status["upstreams"]], edges, status["agent"].get("service", ""))
    return section("The system", drawn, table(heads, _rows(status, edges)), _missing(system), name="system")


def _rows(status: Mapping[str, Any], edges: list[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for name, service in status["upstreams"].items():
        number = len(service["instances"])
        passing = mark(str(number), "ok" if number and not service["stale"] else "bad")
        calls = ", ".join(f"{edge['called']} ({_count(edge)})" for edge in edges if edge["caller"] == name)
        called = ", ".join(f"{edge['caller']} ({_count(edge)})" for edge in edges if edge["called"] == name)
        yield name, passing, status["versions"].get(name, ""), calls, called


def _count(edge: Mapping[str, Any]) -> str:
    failed = f", {edge['failed']} failed" if edge["failed"] else ""
    return f"{edge['requests']}{failed}"


def _missing(system: Mapping[str, Any]) -> Markup:
    said = []
    if system["silent"]:
        said.append(f"Not told by: {', '.join(system['silent'])}.")
    if system["untold"]:
        said.append(
            f"{system['untold']} instances are not asked: their agents tell nobody (admin.metrics is off, or only for "
            "their own machine), or there are more than 200."
        )
    counts = "Requests since each caller's Envoy started."
    return tag("p", " ".join([counts, *said]), class_="plain")
