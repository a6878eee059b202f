"""Which API version a request asked for, which it gets, and why."""

import re
from dataclasses import dataclass

from agent.model.version import Version
from agent.proxy.explain.request import Request
from agent.proxy.planner import names
from agent.proxy.planner.targets import Target
from agent.versions import parse
from agent.versions.resolve import Table

_NAME = re.compile(
    r"(?:(?P<service>[a-z0-9.-]+) )?"
    r"(?:(?P<version>v[0-9.]+|none)|no such version(?:, none)?) by (?P<place>url|header|accept|none)(?:, .*)?"
)
"""The planner's names of routes that tell versions apart."""

_WISH = re.compile(rf"application/vnd\.[^,;/\s]+\.v({parse.ANY})\+json", re.ASCII | re.IGNORECASE)
"""A media type that names a version."""

_PLACES = {"url": "The URL", "header": "X-API-Version", "accept": "Accept"}


@dataclass(frozen=True)
class Resolved:
    """The word on a request's version."""

    asked: str
    """As the request names it, in the form ``v2.1``; empty where it names none."""
    place: str
    """``url``, ``header``, ``accept``; empty where the request names none."""
    version: str
    """What it gets; empty where nothing on offer fits."""
    why: str
    """A sentence."""
    available: tuple[str, ...]
    newest: str
    default: str
    """Empty: the service declares none."""


def resolved(
    route_name: str, request: Request, target: Target, table: Table, pin: Version | None, *, below: str = ""
) -> Resolved | None:
    """The word on the version of a request that met this route; None where the route does not tell versions
    apart. ``below`` is the prefix that is stripped before the service sees the path."""
    match = _NAME.fullmatch(route_name)
    if match is None:
        return None
    place = "" if match["place"] == "none" else match["place"]
    got = "" if match["version"] in (None, "none") else match["version"]
    asked = _asked(place, request, target, table, got=got, below=below)
    return Resolved(
        str(asked) if asked else "",
        place,
        got,
        _why(place, asked, got, table, pin),
        tuple(str(one) for one in table.versions),
        str(table.newest),
        str(table.default) if table.default else "",
    )


def _asked(
    place: str, request: Request, target: Target, table: Table, *, got: str, below: str
) -> Version | None:
    if place == "url":
        patterns = [_slot(one) for one in target.routes if names.VERSION_SLOT in one]
        matches = [re.fullmatch(one, request.bare_path, re.ASCII) for one in patterns]
        found = parse.from_url((request.path or "").removeprefix(below))
        return next((Version.parse(one[1]) for one in matches if one), found)
    if place == "header":
        named = [_read(one) for one in request.values(parse.HEADER)]
        fitting = [one for one in named if one and str(table.resolve(one) or "") == got]
        return next(iter([*fitting, *named]), None)
    if place == "accept":
        wishes = [_read(one) for one in _WISH.findall(request.value("accept"))]
        fitting = [one for one in wishes if one and str(table.resolve(one) or "") == got]
        return next(iter([*fitting, *wishes]), None)
    return None


def _read(text: str) -> Version | None:
    try:
        return Version.parse(text)
    except ValueError:
        return None


def _slot(prefix: str) -> str:
    before, after = (re.escape(part) for part in prefix.split(names.VERSION_SLOT))
    return f"{before}v({parse.ANY}){after}(?:/.*)?"


def _why(place: str, asked: Version | None, got: str, table: Table, pin: Version | None) -> str:
    if not place:
        return _unnamed(got, table, pin)
    names = f"{_PLACES[place]} names {asked or 'a version'}"
    if not got:
        return f"{names}, and no instance serves what fits it."
    if asked is None or str(asked) == got:
        return f"{names}."
    if table.resolve(asked) is None:
        return f"{names}, which does not exist; versions.policy is `latest`, so the newest answers."
    if asked.minor < 0:
        return f"{names}: {got} is the newest v{asked.major}.x."
    return f"{names}, which no instance serves: {got} is the next later minor."


def _unnamed(got: str, table: Table, pin: Version | None) -> str:
    if pin is not None and got:
        if table.resolve(pin) is None:
            return f"The request names none; upstreams pins {pin}, which does not exist; versions.policy is `latest`."
        return f"The request names none, and the caller's settings pin {pin} (upstreams.*.version)."
    if not got:
        return f"The request names none, and the caller's settings pin {pin}, which no instance serves."
    if table.default is not None:
        return f"The request names none: {got} is the service's default."
    return f"The request names none: {got} is the newest, and the service declares no default."
