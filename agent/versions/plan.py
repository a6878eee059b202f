"""The ordered rules by which requests of a versioned service are told apart, and what answers say."""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Literal

from agent.model.version import Deprecation, Version
from agent.versions import parse
from agent.versions.resolve import Span, Table

Policy = Literal["compatible", "latest"]

_LINK = re.compile(r"[!-;=?-~]{1,400}")
"""Visible ASCII without angle brackets: what can stand between those of a Link header (RFC 8288)."""
_LAST_SECOND = 253402300799
"""9999-12-31T23:59:59Z, the last that a Sunset date can say."""


class Place(enum.Enum):
    """Where a request may name a version, the first that does counts."""

    URL = "url"
    HEADER = "header"
    ACCEPT = "accept"
    NONE = "none"


@dataclass(frozen=True)
class Rule:
    """Requests that name what ``pattern`` matches at ``place`` get ``version``."""

    place: Place
    pattern: str
    """Of the version's text without ``v``; empty for ``Place.NONE`` and for a header that is no version at
    all."""
    version: Version | None
    """None: nothing on offer fits."""
    malformed: bool = False
    """The header's value is no version."""
    forced: bool = False
    """``version`` is the newest in place of one that does not exist (policy ``latest``)."""
    unfit: str = ""
    """For ``Place.ACCEPT``: what nothing on offer fits, as a pattern; of several wishes these are passed over."""


def rules(table: Table, policy: Policy = "compatible", pin: Version | None = None) -> tuple[Rule, ...]:
    """All rules in the order in which they apply; the last one takes whatever is left.

    ``pin`` is the version that the caller's settings give to requests that name none.
    """
    found: list[Rule] = []
    patterns = [(_pattern(span), span.version) for span in table.spans]
    for place in (Place.URL, Place.HEADER, Place.ACCEPT):
        unfit = unfit_pattern(table) if place is Place.ACCEPT else ""
        found += [Rule(place, pattern, version, unfit=unfit) for pattern, version in patterns if pattern]
        found.append(_unfit(place, parse.ANY, table, policy))
        if place is Place.HEADER:
            found.append(Rule(place, "", None, malformed=True))
    if table.resolve(pin) is None:
        return (*found, _unfit(Place.NONE, "", table, policy))
    return (*found, Rule(Place.NONE, "", table.resolve(pin)))


def _unfit(place: Place, pattern: str, table: Table, policy: Policy) -> Rule:
    if policy == "latest":
        return Rule(place, pattern, table.newest, forced=True)
    return Rule(place, pattern, None)


def _pattern(span: Span) -> str:
    """The names of a span as a pattern; empty when no request can name it."""
    minors = parse.number_pattern(span.low, span.high)
    major = span.version.major
    if span.bare:
        return rf"{major}(?:\.(?:{minors}))?" if minors else str(major)
    return rf"{major}\.(?:{minors})" if minors else ""


def unfit_pattern(table: Table) -> str:
    """The texts of versions, without ``v``, for which nothing on offer fits."""
    tops = {one.major: max(one.minor, 0) for one in table.versions}
    gaps = parse.ranges_between(sorted(tops))
    majors = "|".join(pattern for low, high in gaps if (pattern := parse.number_pattern(low, high)))
    parts = [rf"(?:{majors})(?:\.{parse.NUMBER})?"] if majors else []
    for major, top in tops.items():
        if above := parse.number_pattern(top + 1, parse.HIGHEST):
            parts.append(rf"{major}\.(?:{above})")
    return "|".join(parts)


def response_headers(table: Table, version: Version) -> tuple[tuple[str, str], ...]:
    """What an answer of ``version`` tells its caller, apart from the version itself.

    ``Deprecation`` (RFC 9745), ``Sunset`` (RFC 8594), ``Link`` with ``successor-version`` (RFC 5829). A
    deprecation without a date is told as ``@0``, because RFC 9745 knows no other way to say: already.
    """
    deprecation = table.deprecated.get(version)
    if deprecation is None:
        return ()
    found = [("deprecation", f"@{_second(deprecation.since or 0)}")]
    if deprecation.sunset is not None:
        found.append(("sunset", formatdate(_second(deprecation.sunset), usegmt=True)))
    if _LINK.fullmatch(deprecation.link):
        found.append(("link", f'<{deprecation.link}>; rel="successor-version"'))
    return tuple(found)


def _second(value: int) -> int:
    return min(max(value, 0), _LAST_SECOND)


def listing(table: Table | None, *, brief: bool = False) -> dict[str, Any]:
    """What ``GET /api/versions`` says of one service; ``brief``: of deprecation only that there is one."""
    if table is None:
        return {"versions": []}
    deprecated = table.deprecated
    if brief:
        deprecated = {version: Deprecation() for version in deprecated}
    return {
        "versions": [_described(version, deprecated.get(version)) for version in table.versions],
        "default": str(table.unnamed),
        "latest": str(table.newest),
    }


def _described(version: Version, deprecation: Deprecation | None) -> Mapping[str, Any]:
    if deprecation is None:
        return {"version": str(version), "deprecated": False}
    told: dict[str, Any] = {"version": str(version), "deprecated": True}
    for name, second in (("since", deprecation.since), ("sunset", deprecation.sunset)):
        if second is not None:
            told[name] = formatdate(_second(second), usegmt=True)
    if _LINK.fullmatch(deprecation.link):
        told["link"] = deprecation.link
    return told


def not_found(name: str, table: Table, pin: Version | None = None) -> dict[str, Any]:
    """The problem document (RFC 9457) for a version that nothing on offer fits; ``pin`` where the caller's
    settings named it."""
    offered = ", ".join(str(version) for version in table.versions)
    named = "the request names another version" if pin is None else f"the caller's settings pin {pin}"
    return {
        "type": "about:blank",
        "title": "API version not available",
        "status": 404,
        "detail": f"{name} serves {offered}; {named}.",
        "available": [str(version) for version in table.versions],
    }


def malformed(table: Table) -> dict[str, Any]:
    """The problem document for an ``X-API-Version`` that is no version."""
    return {
        "type": "about:blank",
        "title": "Not an API version",
        "status": 400,
        "detail": "X-API-Version is not a version such as 2, v2 or v2.1.",
        "available": [str(version) for version in table.versions],
    }
