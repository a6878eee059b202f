"""Names of services, routes, meta."""

import re
from collections.abc import Iterator

from agent.config.checks.finding import Finding
from agent.config.settings import Settings
from agent.model import names

MOST_ROUTES = 32
LONGEST_META = 512
"""Bytes that Consul takes in one value of a service's meta."""

_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]+|\{version\}")


def service(settings: Settings) -> Iterator[Finding]:
    """The service is not called like something else."""
    if settings.service.name and not names.is_free(settings.service.name):
        yield Finding(
            "service.name", f"is {settings.service.name!r}, which means something else", "another name"
        )


def upstreams(settings: Settings) -> Iterator[Finding]:
    """No upstream is called like something else, and `*` has no port of its own."""
    for name, upstream in settings.upstreams.items():
        if not names.is_free(name):
            yield Finding(
                f"upstreams.{name}", "has a name that means something else", "the name of a service"
            )
        if name == "*" and upstream.port >= 0:
            yield Finding(
                "upstreams.*.port",
                "can't be one port for all services",
                "a port for each service that needs one",
            )
    ports: dict[int, str] = {}
    for name, upstream in settings.upstreams.items():
        if upstream.port > 0 and (other := ports.setdefault(upstream.port, name)) != name:
            yield Finding(
                f"upstreams.{name}.port",
                f"is {upstream.port}, the port of {other} too",
                "another port, or 0 for a free one",
            )


def routes(settings: Settings) -> Iterator[Finding]:
    """A route is a path prefix, {version} a whole segment at most once; Consul's meta holds them all."""
    given = settings.service.routes
    for index, route in enumerate(given):
        if wrong := wrong_route(route):
            allowed = "a path prefix such as /orders or /api/{version}/orders"
            yield Finding(f"service.routes[{index}]", f"is {route[:80]!r}, {wrong}", allowed)
    if len(given) > MOST_ROUTES or len(" ".join(given)) > LONGEST_META:
        allowed = f"at most {MOST_ROUTES}, of {LONGEST_META} characters together"
        yield Finding(
            "service.routes", f"are {len(given)} routes of {len(' '.join(given))} characters", allowed
        )


def wrong_route(route: str) -> str:
    """What is wrong with a published path prefix, as a clause; empty when nothing is."""
    if not route.startswith("/"):
        return "which does not start with /"
    if len(route) > 200:
        return "which is longer than 200 characters"
    segments = route.split("/")[1:] if route != "/" else []
    if segments and not segments[-1]:
        return "which ends in /"
    if any(segment in {"", ".", ".."} for segment in segments):
        return "which has an empty segment, . or .."
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        return "which holds something that is neither a path nor {version} as a whole segment"
    return "which has {version} twice" if segments.count("{version}") > 1 else ""


def meta(settings: Settings) -> Iterator[Finding]:
    """Consul takes the meta, and it is not mistaken for what Pillion publishes."""
    for key, value in settings.service.meta.items():
        if re.match(r"(pillion|consul)([-_]|$)", key):
            yield Finding(
                f"service.meta.{key}",
                "begins like the keys that Pillion and Consul keep for themselves",
                "another key",
            )
        if len(value.encode()) > LONGEST_META:
            yield Finding(f"service.meta.{key}", "is longer than 512 bytes", "at most 512 bytes as UTF-8")
