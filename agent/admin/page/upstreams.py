"""What this instance calls: services, their instances, health, circuit breakers, retries."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.admin.page.markup import EMPTY, Markup, joined, mark, section, table, tag

_NONE: Mapping[str, Any] = {}


def shown(status: Mapping[str, Any]) -> Markup:
    """A block for each service."""
    seen = status.get("traffic", _NONE)
    parts = [
        _service(name, service, seen.get(name, _NONE), status["versions"].get(name, ""))
        for name, service in status["upstreams"].items()
    ]
    if status["left_out"]:
        left = ", ".join(status["left_out"])
        parts.append(tag("p", mark("left out", "warn"), f" more than 100 services: {left}"))
    return section("Upstreams", *parts)


def _service(name: str, service: Mapping[str, Any], seen: Mapping[str, Any], versions: str) -> Markup:
    stale = mark("last known", "warn") if service["stale"] else EMPTY
    title = tag("h3", name, " ", stale, _circuit(seen))
    about = [versions and f"versions {versions}", _counts(seen)]
    hosts = {host["address"]: host for host in seen.get("hosts", ())}
    rows = (_instance(one, hosts.get(one["address"], _NONE)) for one in service["instances"])
    heads = ("instance", "address", "health", "versions", "zone", "requests", "failed")
    shown = table(heads, rows) or tag("p", mark("none passing", "bad"))
    return tag("article", title, tag("p", " · ".join(filter(None, about)), class_="plain"), shown)


def _circuit(seen: Mapping[str, Any]) -> Markup:
    if not seen:
        return EMPTY
    words: Iterator[Markup] = (mark(f"circuit open: {limit}", "bad") for limit in seen["full"])
    found = joined(words) or mark("circuit closed", "ok")
    ejected = sum(bool(host["unwell"]) for host in seen["hosts"])
    return joined((found, " ", mark(f"{ejected} left out", "warn"))) if ejected else found


def _counts(seen: Mapping[str, Any]) -> str:
    if not seen:
        return ""
    retries = f"{seen['retries']} repeated, {seen['saved']} of them with success"
    away = f" · {seen['turned_away']} turned away by the circuit breaker" if seen["turned_away"] else ""
    return f"{seen['requests']} requests, {seen['failed']} failed, {retries}{away}"


def _instance(one: Mapping[str, Any], host: Mapping[str, Any]) -> tuple[str, ...]:
    unwell = host.get("unwell", ())
    health = joined(mark(reason, "bad") for reason in unwell) if unwell else mark("passing", "ok")
    counts = (str(host["requests"]), str(host["failed"])) if host else ("", "")
    return one["id"], one["address"], health, ", ".join(one["versions"]), one["zone"], *counts
