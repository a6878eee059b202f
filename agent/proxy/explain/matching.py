"""Envoy's matching: a virtual host by its domains, a route by its match.

Sources: the documentation of ``envoy.config.route.v3.VirtualHost.domains``, ``RouteMatch`` and ``HeaderMatcher``.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agent.proxy.explain.request import Request
from agent.proxy.snapshot import Resource
from agent.runtime.errors import Permanent

_READ = {"prefix", "path", "safe_regex", "path_separated_prefix", "connect_matcher", "headers"}
_HEADER_READ = {
    "name", "string_match", "range_match", "present_match", "invert_match", "treat_missing_header_as_empty",
}  # fmt: skip


@dataclass(frozen=True)
class Host:
    """The virtual host that a request meets, and the domain by which it does."""

    content: Resource
    domain: str


def virtual_host(config: Resource, authority: str) -> Host | None:
    """Exact domains first, then the longest suffix (``*.x``), then the longest prefix (``x.*``), then ``*``."""
    hosts = {domain: one for one in config.get("virtual_hosts", []) for domain in one["domains"]}
    name = authority
    if config.get("ignore_port_in_host_matching"):
        name = authority[: port_start(authority)]
    domain = _domain(hosts, name.lower())
    return Host(hosts[domain], domain) if domain in hosts else None


def _domain(domains: Iterable[str], name: str) -> str:
    """The domain that a name falls under; ``*`` where no other does. A star stands for at least one character."""
    fitting = [one for one in domains if len(one) > 1 and len(name) >= len(one)]
    exact = [one for one in domains if one == name != "*"]
    suffixes = [one for one in fitting if one.startswith("*") and name.endswith(one[1:])]
    prefixes = [one for one in fitting if one.endswith("*") and name.startswith(one[:-1])]
    longest = [max(some, key=len) for some in (exact, suffixes, prefixes) if some]
    return longest[0] if longest else "*"


def port_start(authority: str) -> int:
    """Where ``:port`` begins; the length where there is none. A v6 address stands in brackets."""
    colon = authority.rfind(":")
    return len(authority) if colon < 0 or authority.rfind("]") > colon else colon


def mismatch(route: Resource, request: Request) -> str:
    """Why a route does not match, as a clause; empty when it matches.

    Raises Permanent for a way of matching that is not read here.
    """
    match: Resource = route["match"]
    if unread := set(match) - _READ:
        raise Permanent(
            f"the route {route.get('name', '')!r} matches by {', '.join(sorted(unread))}, {_UNREAD}"
        )
    return _path(match, request) or next(
        filter(None, (_header(one, request) for one in match.get("headers", ()))), ""
    )


_UNREAD = "which explain does not read: see pillion envoy render"


def _path(match: Resource, request: Request) -> str:
    if "connect_matcher" in match:
        return "" if request.method == "CONNECT" else "it is for CONNECT only"
    if request.path is None:
        return "CONNECT has no path"
    path = request.bare_path
    if "path" in match:
        return "" if path == match["path"] else f"the path is not {match['path']}"
    if "safe_regex" in match:
        pattern = match["safe_regex"]["regex"]
        return "" if full_match(pattern, path) else f"the path does not match {pattern}"
    if "path_separated_prefix" in match:
        prefix = match["path_separated_prefix"]
        fits = path == prefix or path.startswith(f"{prefix}/")
        return "" if fits else f"the path is not below {prefix}"
    prefix = match.get("prefix", "/")
    return "" if path.startswith(prefix) else f"the path does not begin with {prefix}"


def full_match(pattern: str, text: str) -> bool:
    """As RE2: classes such as ``\\s`` are ASCII."""
    return re.fullmatch(pattern, text, re.ASCII) is not None


def _header(matcher: Resource, request: Request) -> str:
    if unread := set(matcher) - _HEADER_READ:
        raise Permanent(f"a route matches {matcher.get('name')} by {', '.join(sorted(unread))}, {_UNREAD}")
    name = matcher["name"].lower()
    values = request.values(name)
    inverted = bool(matcher.get("invert_match", False))
    if not {"string_match", "range_match"} & matcher.keys():
        wanted = bool(matcher.get("present_match", True)) != inverted
        if bool(values) is wanted:
            return ""
        return f"{_shown(name)} is absent" if wanted else f"{_shown(name)} is there"
    if not values and not matcher.get("treat_missing_header_as_empty", False):
        return f"{_shown(name)} is absent"
    # One fitting value of several is enough.
    found = [_value(matcher, value) for value in values or ("",)]
    if any(fits for fits, _ in found) is not inverted:
        return ""
    return f"{_shown(name)} ({', '.join(values)}) {'is' if inverted else 'is not'} {found[0][1]}"


def _value(matcher: Resource, value: str) -> tuple[bool, str]:
    """Whether one value fits, and in words what it is to be."""
    return _string(matcher["string_match"], value) if "string_match" in matcher else _range(matcher, value)


def _range(matcher: Resource, value: str) -> tuple[bool, str]:
    start, end = (int(matcher["range_match"].get(edge, 0)) for edge in ("start", "end"))
    number = int(value) if _NUMBER.fullmatch(value) else None
    return number is not None and start <= number < end, f"from {start} to {end - 1}"


_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
"""Beyond 64 bits Envoy finds a value in no range; what is longer than this is in none of ours."""


_STRINGS: Mapping[str, tuple[Callable[[str, str], bool], str]] = {
    "exact": (lambda value, wanted: value == wanted, ""),
    "prefix": (lambda value, wanted: value.startswith(wanted), "beginning with "),
    "suffix": (lambda value, wanted: value.endswith(wanted), "ending with "),
    "contains": (lambda value, wanted: wanted in value, "holding "),
}


def _string(matcher: Resource, value: str) -> tuple[bool, str]:
    """Whether a value fits, and in words what it is to be."""
    if "safe_regex" in matcher:
        pattern = matcher["safe_regex"]["regex"]
        return full_match(pattern, value), f"of the form {pattern}"
    for kind, (fits, words) in _STRINGS.items():
        if kind in matcher:
            wanted = matcher[kind]
            if matcher.get("ignore_case", False):
                return fits(value.lower(), wanted.lower()), f"{words}{wanted}"
            return fits(value, wanted), f"{words}{wanted}"
    raise Permanent(f"a route matches text by {', '.join(sorted(matcher))}, {_UNREAD}")


def _shown(name: str) -> str:
    return {":method": "the method", ":authority": "the host", ":path": "the path"}.get(name, name)
