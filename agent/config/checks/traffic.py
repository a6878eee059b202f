"""Timeouts, retries and balancing, for all upstreams, for one and for one path of it."""

from collections.abc import Iterator

from agent.config.checks.finding import Finding
from agent.config.sections.traffic import Traffic
from agent.config.settings import Settings
from agent.config.upstream import paths_for, traffic_for

RULE = "at most the timeout of the whole request"


def tries(settings: Settings) -> Iterator[Finding]:
    """One try never takes longer than the whole request: in general, for each upstream with what `*` says of
    it, and for each path prefix with what the upstream says."""
    yield from _tries("traffic.per_try_timeout", settings.traffic.timeout, settings.traffic.per_try_timeout)
    for name, upstream in settings.upstreams.items():
        found = traffic_for(settings, name)
        if upstream.traffic.keys() & {"timeout", "per_try_timeout"}:
            key = f"upstreams.{name}.traffic.per_try_timeout"
            yield from _tries(key, found.timeout, found.per_try_timeout)
        yield from _path_tries(settings, name, found)


def _path_tries(settings: Settings, name: str, traffic: Traffic) -> Iterator[Finding]:
    upstream = settings.upstreams[name]
    own = {path.prefix: f"upstreams.{name}.paths[{index}]" for index, path in enumerate(upstream.paths)}
    for path in paths_for(settings, name).values():
        if path.timeout is None and path.per_try_timeout is None:
            continue  # what is wrong then is said of the upstream
        whole = traffic.timeout if path.timeout is None else path.timeout
        one = traffic.per_try_timeout if path.per_try_timeout is None else path.per_try_timeout
        if path.prefix in own:
            yield from _tries(f"{own[path.prefix]}.per_try_timeout", whole, one)
        elif 0 < whole < one and upstream.traffic.keys() & {"timeout", "per_try_timeout"}:
            wrong = (
                f"leaves {path.prefix} a try of {one:g}s within {whole:g}s, with what upstreams.* says of it"
            )
            yield Finding(f"upstreams.{name}.traffic", wrong, RULE)


def _tries(key: str, whole: float, one: float) -> Iterator[Finding]:
    if 0 < whole < one:
        yield Finding(key, f"is {one:g}s, longer than timeout ({whole:g}s)", RULE)


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
