"""Versions that the service says it serves."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime

from agent.config.checks.finding import Finding
from agent.config.checks.names import LONGEST_META
from agent.config.settings import Settings
from agent.model.version import Version

MOST = 32
"""Versions that one service may serve at once."""


def offered(settings: Settings) -> Iterator[Finding]:
    """The default is served, nothing is served twice, and what depends on versions has some."""
    versions = settings.versions
    serves = [Version.parse(text) for text in versions.serves]
    if len(serves) > MOST:
        yield Finding("versions.serves", f"has {len(serves)} versions", f"at most {MOST}")
        return  # what follows compares each with each
    for index, version in enumerate(serves):
        if version in serves[:index]:
            yield Finding(f"versions.serves[{index}]", f"is {version} again", "each version once")
        minors = [other for other in serves if other.major == version.major and other.minor >= 0]
        if version.minor < 0 and minors:
            # A request for v2 gets the newest v2.x, so v2 itself could not be told apart from it.
            wrong = f"is {version} beside {minors[0]}, and a request for {version} means the newest of both"
            yield Finding(f"versions.serves[{index}]", wrong, f"{version}.0, or one of the two")
    if versions.default and Version.parse(versions.default) not in serves:
        yield Finding(
            "versions.default", f"is {versions.default}, which versions.serves does not name", _one_of(serves)
        )
    if versions.strip_prefix and not serves:
        yield Finding(
            "versions.strip_prefix",
            "is on, but versions.serves is empty",
            "versions.serves with what the service serves",
        )


def deprecated(settings: Settings) -> Iterator[Finding]:
    """What is deprecated is served, and ends after it was deprecated."""
    serves = [Version.parse(text) for text in settings.versions.serves]
    for name, one in settings.versions.deprecated.items():
        key = f"versions.deprecated.{name}"
        if Version.parse(name) not in serves:
            yield Finding(key, "is not among versions.serves", _one_of(serves))
        if name != str(Version.parse(name)) and str(Version.parse(name)) in settings.versions.deprecated:
            yield Finding(key, f"is {Version.parse(name)} again", "each version once")
        since, sunset = moment(one.since), moment(one.sunset)
        for field, text, found in (("since", one.since, since), ("sunset", one.sunset, sunset)):
            if text and found is None:
                yield Finding(
                    f"{key}.{field}",
                    f"is {text[:80]!r}, not a date",
                    "a date such as 2026-11-01, or an RFC 3339 time",
                )
        if since and sunset and sunset < since:
            yield Finding(f"{key}.sunset", "is before since", "a later date")


def room(settings: Settings) -> Iterator[Finding]:
    """What is said of deprecated versions fits into one value of Consul's meta."""
    table = {
        str(Version.parse(name)): [_second(one.since), _second(one.sunset), one.link]
        for name, one in settings.versions.deprecated.items()
    }
    # As the registrar publishes it, see agent.registry.advertise.
    length = len(json.dumps(table, separators=(",", ":")))
    if length > LONGEST_META:
        wrong = f"takes {length} characters in Consul's meta"
        allowed = f"at most {LONGEST_META}: shorter links, or fewer deprecated versions"
        yield Finding("versions.deprecated", wrong, allowed)


def _second(text: str) -> int | None:
    found = moment(text)
    return int(found.timestamp()) if found else None


def moment(text: str) -> datetime | None:
    """The time that a date (in UTC) or an RFC 3339 time means, since 1970; None for anything else."""
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            found = datetime(day.year, day.month, day.day, tzinfo=UTC)
        else:
            found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo and found.year >= 1970 else None


def _one_of(serves: list[Version]) -> str:
    if not serves:
        return "versions.serves with what the service serves"
    return f"one of {', '.join(str(version) for version in serves)}"
