"""An explanation for a person: a line for each thing, the outcome first."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from agent.runtime.words import plain

WIDTH = 17
FEW = 12
"""Near misses and instances that are shown; JSON has all."""

_OUTCOMES = {
    "routed": ("is routed", "green"),
    "external": ("is not in the mesh: it goes out to that host, without our headers", "yellow"),
    "answered": ("is answered by Envoy itself", "green"),
    "redirected": ("is redirected", "yellow"),
    "refused": ("is refused", "red"),
    "no_instance": ("finds no instance", "red"),
}

_VERSIONED = {
    " by url": "the URL names no version, or another one",
    " by header": "X-API-Version names another version",
    " by accept": "Accept names no version, or another one",
}


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """The lines to print; what others wrote is shown without control characters."""
    request = told["request"]
    words, colour = _OUTCOMES[told["outcome"]]
    status = f" with {told['status']}" if told.get("status") else ""
    where = request["host"] if request["method"] == "CONNECT" else f"{request['host']}{request['path']}"
    yield plain(f"{request['method']} {where} ") + click.style(words + status, fg=colour, bold=True)
    if told.get("detail"):
        yield f"  {plain(told['detail'])}"
    yield f"  Configuration {plain(told['snapshot'])}{_force(told)}, by {plain(told['source'])}"
    if told.get("no_agent"):
        yield f"  ({plain(told['no_agent'])})"
    yield ""
    yield from _pairs(_met(told))
    yield from _instances(told.get("instances", ()))
    yield from _pairs(_policies(told.get("policies", {})))
    if told["outcome"] != "external":
        yield from _near(told.get("near_misses", ()), request["method"])
    for note in told["notes"]:
        yield from _pairs([("note", note)])


def _force(told: Mapping[str, Any]) -> str:
    if "in_force" not in told:
        return ""
    return ", in force" if told["in_force"] else ", which Envoy has not accepted (see pillion status)"


def _pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, value in pairs:
        if value:
            yield f"{name:<{WIDTH}}{plain(value)}"


def _met(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    listener, host = told["listener"], told.get("virtual_host")
    yield "listener", f"{listener['name']}, {listener['address']}"
    if host:
        yield "virtual host", f"{host['name']} (domain {host['domain']})"
    yield "route", told.get("route", "")
    yield "version", _version(told.get("version"))
    rewrite = told.get("rewrite")
    if rewrite:
        yield "seen there as", f"{rewrite['host']}{rewrite['path']}"
    if told.get("cluster"):
        subset = f", only instances with {told['subset']}" if told.get("subset") else ""
        yield "cluster", f"{told['cluster']}{subset}"


def _version(version: Mapping[str, Any] | None) -> str:
    if not version:
        return ""
    offered = f"On offer: {', '.join(version['available'])}."
    return f"{version['version'] or 'none'}. {version['why']} {offered}"


def _instances(instances: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    every = sorted(instances, key=lambda one: (not one["used"], one["priority"]))
    for number, one in enumerate(every[:FEW]):
        zone = f"zone {one['zone']}, " if one["zone"] else ""
        state = f"{zone}priority {one['priority']}" if one["used"] else f"left out: {one['why']}"
        who = f"{one['address']} {one['id']}".strip()
        yield from _pairs([("instances" if not number else "", f"{who}  {state}")])
    if len(every) > FEW:
        yield f"{'':<{WIDTH}}and {len(every) - FEW} more"
    if len({one["priority"] for one in every if one["used"]}) > 1:
        yield f"{'':<{WIDTH}}a later priority gets requests while under 72 % of the earlier ones are well"


def _policies(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "balance", found.get("balance", "")
    yield (
        "timeouts",
        ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.get("timeouts", {}).items()),
    )
    yield "retries", _retries(found.get("retries"))
    breaker = found.get("circuit_breaker", {})
    yield "circuit", ", ".join(f"{value} {name}" for name, value in breaker.items())
    ejection = found.get("ejection")
    if ejection:
        most = f"never more than {ejection['most_percent']} %"
        yield "ejection", f"after {ejection['failures']} failures in a row, for {ejection['rest']}, {most}"
    for check in found.get("health_checks", ()):
        yield "health check", f"{check['path'] or 'a connection'} every {check['interval']}"
    for name, key in (("request", "request_headers"), ("response", "response_headers")):
        yield f"to the {name}", "; ".join(found.get(key, ()))
        removed = found.get(f"{key}_removed", ())
        yield f"off the {name}", ", ".join(removed)
    yield "filters", ", ".join(found.get("filters", ()))


def _retries(retries: Mapping[str, Any] | None) -> str:
    if not retries:
        return ""
    if not retries["tries"]:
        return str(retries["words"])
    elsewhere = ", on another instance where there is one" if retries.get("elsewhere") else ""
    budget = f"; budget {retries['budget']}" if retries.get("budget") else ""
    return f"{retries['tries']} further{elsewhere}: {retries['words']}{budget}"


def _near(misses: Iterable[Mapping[str, str]], method: str) -> Iterator[str]:
    # Each kind of request has two routes, one for methods that may be repeated: told once.
    worded = [
        f"{one['route']}: {_why(one)}" for one in misses if method == "CONNECT" or "CONNECT" not in one["why"]
    ]
    every = list(dict.fromkeys(worded))
    for number, line in enumerate(every[:FEW]):
        yield from _pairs([("tried before" if not number else "", line)])
    if len(every) > FEW:
        yield f"{'':<{WIDTH}}and {len(every) - FEW} more (--json)"


def _why(miss: Mapping[str, str]) -> str:
    """The reason without the patterns by which versions are told apart."""
    for end, words in _VERSIONED.items():
        if miss["route"].endswith(end) and "absent" not in miss["why"]:
            return words
    return miss["why"]
