"""Timeouts, retries and balancing, for all upstreams, for one and for one path of it."""

from collections.abc import Iterator

from agent.config.checks.finding import Finding
from agent.config.sections.traffic import Path, Traffic
from agent.config.settings import Settings
from agent.config.upstream import traffic_for

RULE = "at most the timeout of the whole request"


def tries(settings: Settings) -> Iterator[Finding]:
    """One try never takes longer than the whole request."""
    yield from _tries("traffic.per_try_timeout", settings.traffic)
    for name, upstream in settings.upstreams.items():
        found = traffic_for(settings, name)
        if upstream.traffic.keys() & {"timeout", "per_try_timeout"}:
            yield from _tries(f"upstreams.{name}.traffic.per_try_timeout", found)
        for index, path in enumerate(upstream.paths):
            yield from _path_tries(f"upstreams.{name}.paths[{index}]", path, found)


def _tries(key: str, traffic: Traffic) -> Iterator[Finding]:
    if 0 < traffic.timeout < traffic.per_try_timeout:
        yield Finding(
            key, f"is {traffic.per_try_timeout:g}s, longer than timeout ({traffic.timeout:g}s)", RULE
        )


def _path_tries(key: str, path: Path, traffic: Traffic) -> Iterator[Finding]:
    whole = traffic.timeout if path.timeout is None else path.timeout
    one = traffic.per_try_timeout if path.per_try_timeout is None else path.per_try_timeout
    if (path.timeout, path.per_try_timeout) != (None, None) and 0 < whole < one:
        yield Finding(f"{key}.per_try_timeout", f"is {one:g}s, longer than timeout ({whole:g}s)", RULE)


def hashing(settings: Settings) -> Iterator[Finding]:
    """Where a ring is hashed, something is hashed."""
    allowed = "the request header that names the instance's key, such as x-user"
    if settings.traffic.balance == "ring_hash" and not settings.traffic.hash_header:
        yield Finding("traffic.hash_header", "is missing, ring_hash needs it", allowed)
    for name, upstream in settings.upstreams.items():
        found = traffic_for(settings, name)
        if (
            upstream.traffic.keys() & {"balance", "hash_header"}
            and found.balance == "ring_hash"
            and not found.hash_header
        ):
            yield Finding(f"upstreams.{name}.traffic.hash_header", "is missing, ring_hash needs it", allowed)
