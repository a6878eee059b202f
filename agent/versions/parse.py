"""The forms in which a request names an API version, as patterns that Python's ``re`` and Envoy's RE2 read
alike.

Each ``…_pattern`` takes the pattern of a version's text without its ``v`` and matches a whole value.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from agent.model.version import Version

HEADER = "x-api-version"
DISCOVERY = "/api/versions"
"""The path at which a versioned service's versions are listed."""
ACCEPT = "accept"
WISHES = "x-pillion-accept"
"""Header with the versions that ``Accept`` names, as ``3,2.1``: Envoy writes it for its own routes alone."""
MARK = "vnd."
"""In every ``Accept`` that names a version, in whatever case."""
LONGEST_ACCEPT = 4096
MOST_WISHES = 16
HIGHEST = 9999
"""Majors and minors are numbers from 0 to this."""

NUMBER = "(?:0|[1-9][0-9]{0,3})"
ANY = rf"{NUMBER}(?:\.{NUMBER})?"
"""Every version's text."""


def url_pattern(version: str, prefix: str = "") -> str:
    """Path and query that name a version as ``/api/v2`` or ``/api/v2/…`` below a literal ``prefix``."""
    return rf"{re.escape(prefix)}/api/v(?:{version})(?:[/?].*)?"


def header_pattern(version: str) -> str:
    """Value of ``X-API-Version``: ``2``, ``v2``, ``2.1`` or ``v2.1``."""
    return f"v?(?:{version})"


def wishes_pattern(version: str, unfit: str = "") -> str:
    """Wishes of which this is the first that can be had; what ``unfit`` matches can't be."""
    skipped = f"(?:(?:{unfit}),)*" if unfit else ""
    return f"{skipped}(?:{version})(?:,.*)?"


def number_pattern(low: int, high: int) -> str:
    """Decimal numbers from ``low`` to ``high`` (at most four digits), without leading zeros."""
    parts: list[str] = []
    whole: list[int] = []
    for digits in range(1, 5):
        first = 0 if digits == 1 else 10 ** (digits - 1)
        start, end = max(low, first), min(high, 10**digits - 1)
        if start == 10 ** (digits - 1) and end == 10**digits - 1:
            whole.append(digits)
        elif start <= end:
            parts += _same_length(str(start), str(end))
    if whole:
        # All numbers of these lengths, as one: Envoy limits the size of a pattern's program.
        parts.append(f"[1-9][0-9]{{{whole[0] - 1},{whole[-1] - 1}}}")
    return "|".join(parts)


def ranges_between(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """The ranges of all numbers up to the highest that are not among these, which ascend."""
    edges = [-1, *numbers, HIGHEST + 1]
    return [(low + 1, high - 1) for low, high in pairwise(edges) if low + 1 < high]


def _same_length(low: str, high: str) -> list[str]:
    if low == high:
        return [low]
    rest = len(low) - 1
    first, last = int(low[0]), int(high[0])
    if first == last:
        return [low[0] + tail for tail in _same_length(low[1:], high[1:])]
    below: list[str] = []
    above: list[str] = []
    if low[1:] != "0" * rest:
        below = [low[0] + tail for tail in _same_length(low[1:], "9" * rest)]
        first += 1
    if high[1:] != "9" * rest:
        above = [high[0] + tail for tail in _same_length("0" * rest, high[1:])]
        last -= 1
    middle = [f"[{first}-{last}]" + "[0-9]" * rest] if first <= last else []
    return [*below, *middle, *above]


def from_url(path: str) -> Version | None:
    """The version that path and query name, else None."""
    return _read(url_pattern(f"({ANY})"), path)


def from_header(value: str) -> Version | None:
    """The version that ``X-API-Version`` names; None for an empty value. Raises ValueError for any other
    text."""
    return Version.parse(value) if value else None


def wishes(accept: str) -> tuple[Version, ...]:
    """The versions that ``Accept`` names, the most wanted first (RFC 9110, 12.5.1).

    Each media type ``application/vnd.ANY.v2+json`` is one; the higher its ``q`` the earlier, of equals the newest
    first.
    One with ``q=0`` or a malformed ``q`` is none; nor is what comes after 16 versions, nor any in a value of more than
    4,096 characters. ``envoy/accept.yaml`` does the same in Envoy.
    """
    found: dict[Version, int] = {}
    for member in _QUOTED.sub("", accept).split(",") if len(accept) <= LONGEST_ACCEPT else ():
        match = _MEDIA_TYPE.fullmatch(member)
        weight = _weight(match[2]) if match else 0
        version = Version.parse(match[1]) if match and weight else None
        if version is not None and (version in found or len(found) < MOST_WISHES):
            found[version] = max(weight, found.get(version, 0))
    return tuple(sorted(found, key=lambda one: (-found[one], -one.major, one.minor >= 0, -one.minor)))


_QUOTED = re.compile(r'\\.?|"[^"\\]*(?:\\.?[^"\\]*)*"?', re.DOTALL)
_MEDIA_TYPE = re.compile(
    rf"[ \t]*application/vnd\.[^,;/ \t]+\.v({ANY})\+json[ \t]*(;.*)?", re.IGNORECASE | re.ASCII | re.DOTALL
)
_PARAMETER = re.compile(r";[ \t]*([^ \t;=]+)=([^ \t;]*)")
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def _weight(parameters: str | None) -> int:
    """The ``q`` of a media type in thousandths, 0 for a malformed one."""
    given = (value for name, value in _PARAMETER.findall(parameters or "") if name in "qQ")
    text = next(given, "1")
    return round(float(text) * 1000) if _WEIGHT.fullmatch(text) else 0


def _read(pattern: str, text: str) -> Version | None:
    match = re.fullmatch(pattern, text)
    return Version.parse(match[1]) if match else None
