"""The forms in which a request names an API version, as patterns that Python's ``re`` and Envoy's RE2 read
alike.

Each ``…_pattern`` takes the pattern of a version's text without its ``v`` and matches a whole value.
"""

import re

from agent.model.version import Version

HEADER = "x-api-version"
DISCOVERY = "/api/versions"
"""The path at which a versioned service's versions are listed."""
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


def accept_pattern(version: str) -> str:
    """Value of ``Accept`` with a media type ``application/vnd.ANY.v2+json`` anywhere in the list (RFC 6838,
    3.2)."""
    one = rf"application/vnd\.[^,;/\s]+\.v(?:{version})\+json"
    return rf"(?i)(?:.*,)?[ \t]*{one}[ \t]*(?:[;,].*)?"


def number_pattern(low: int, high: int) -> str:
    """Decimal numbers from ``low`` to ``high`` (at most four digits), without leading zeros."""
    parts: list[str] = []
    for digits in range(1, 5):
        first = 0 if digits == 1 else 10 ** (digits - 1)
        start, end = max(low, first), min(high, 10**digits - 1)
        if start <= end:
            parts += _same_length(str(start), str(end))
    return "|".join(parts)


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


def from_accept(value: str) -> Version | None:
    """The version that ``Accept`` names, else None. Of several the last is returned."""
    return _read(accept_pattern(f"({ANY})"), value)


def _read(pattern: str, text: str) -> Version | None:
    match = re.fullmatch(pattern, text)
    return Version.parse(match[1]) if match else None
