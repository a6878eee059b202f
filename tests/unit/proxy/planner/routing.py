"""Envoy's choice among planned routes, in Python: matching by path and headers, the reading of Accept."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.proxy.planner.versioning import READING
from agent.proxy.snapshot import Resource
from agent.versions import parse


@dataclass(frozen=True)
class Request:
    """What routes are chosen by; header names in lower case."""

    path: str = "/"
    """With the query."""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"


@dataclass(frozen=True)
class Outcome:
    """What becomes of a request."""

    status: int
    """200 for one that is forwarded."""
    version: str = ""
    """The subset that it is sent to; empty: none."""
    path: str = ""
    """As the next hop sees it."""


def outcome(routes: Sequence[Resource], request: Request) -> Outcome:
    """What the first route that matches does, after Accept was read where that route asks for it."""
    route = chosen(routes, request)
    if READING in route.get("typed_per_filter_config", {}):
        wishes = [str(one)[1:] for one in parse.wishes(request.headers.get("accept", ""))]
        if wishes:
            read = {**request.headers, parse.WISHES: ",".join(wishes)}
            route = chosen(routes, Request(request.path, read, request.method))
    if "direct_response" in route:
        return Outcome(route["direct_response"]["status"])
    action = route["route"]
    subset = action.get("metadata_match", {}).get("filter_metadata", {}).get("envoy.lb", {})
    version = f"unnamed: {subset['unnamed']}" if "unnamed" in subset else subset.get("versions", "")
    return Outcome(200, version, _rewritten(action, request.path))


def chosen(routes: Sequence[Resource], request: Request) -> Resource:
    """The first route that matches. Raises StopIteration when none does."""
    return next(one for one in routes if _matches(one["match"], request))


def _matches(match: Resource, request: Request) -> bool:
    path = request.path.partition("?")[0]
    return _path(match, path) and all(_header(one, request) for one in match.get("headers", ()))


def _path(match: Resource, path: str) -> bool:
    match match:
        case {"path": str(whole)}:
            return path == whole
        case {"prefix": str(prefix)}:
            return path.startswith(prefix)
        case {"path_separated_prefix": str(prefix)}:
            return path == prefix or path.startswith(f"{prefix}/")
        case {"safe_regex": {"regex": str(pattern)}}:
            return re.fullmatch(pattern, path) is not None
        case {"connect_matcher": _}:
            return False
    raise AssertionError(f"a path matcher that is not known here: {match}")


def _header(matcher: Resource, request: Request) -> bool:
    pseudo = {":authority": "shop.example", ":path": request.path, ":method": request.method}
    all_headers = {**request.headers, **pseudo}
    value = all_headers.get(matcher["name"])
    found = value is not None and ("present_match" in matcher or _text(matcher["string_match"], value))
    return found != matcher.get("invert_match", False)


def _text(match: Mapping[str, Any], value: str) -> bool:
    if match.get("ignore_case"):
        value = value.lower()
    match match:
        case {"safe_regex": {"regex": str(pattern)}}:
            return re.fullmatch(pattern, value) is not None
        case {"contains": str(part)}:
            return part in value
        case {"exact": str(whole)}:
            return value == whole
        case {"suffix": str(end)}:
            return value.endswith(end)
    raise AssertionError(f"a text matcher that is not known here: {match}")


def _rewritten(action: Resource, path: str) -> str:
    rewrite = action.get("regex_rewrite")
    if rewrite is None:
        return path
    path, query, rest = path.partition("?")
    return re.sub(rewrite["pattern"]["regex"], rewrite["substitution"], path) + query + rest
