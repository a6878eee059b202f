"""Addresses that are listened at and those that are called; times that depend on each other."""

import ipaddress
from collections.abc import Iterator, Mapping
from itertools import chain, combinations, product
from urllib.parse import urlsplit

from agent.config.checks.finding import Finding
from agent.config.settings import Settings
from agent.model.address import Address


def _listeners(settings: Settings) -> Mapping[str, str]:
    found = {
        "proxy.inbound": settings.proxy.inbound,
        "proxy.outbound": settings.proxy.outbound,
        "outbound.dns": settings.outbound.dns,
        "gateway.listen": settings.gateway.listen,
        "gateway.redirect": settings.gateway.redirect,
        "admin.listen": settings.admin.listen,
        "admin.health": settings.admin.health,
        "admin.metrics": settings.admin.metrics,
        "webhook.listen": settings.webhook.listen,
    }
    return {key: text for key, text in found.items() if text}


def listeners(settings: Settings) -> Iterator[Finding]:
    """Each listener has an IP address and a port."""
    for key, text in _listeners(settings).items():
        if wrong := _wrong_address(text):
            yield Finding(key, wrong, "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080")


def _wrong_address(text: str) -> str:
    try:
        host = Address.parse(text).host
    except ValueError as error:
        return str(error)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return f"has {host[:80]!r} for its address"
    return ""


def collisions(settings: Settings) -> Iterator[Finding]:
    """No two listeners of one process, or a listener and the service, want the same port."""
    places = {
        key: Address.parse(text) for key, text in _listeners(settings).items() if not _wrong_address(text)
    }
    places["service.port"] = Address(settings.service.host, settings.service.port)
    upstreams = {
        f"upstreams.{name}.port": Address("127.0.0.1", max(upstream.port, 0))
        for name, upstream in settings.upstreams.items()
    }
    # There may be thousands of upstreams, so they are not compared with each other: names.upstreams does that.
    pairs = chain(combinations(places.items(), 2), product(places.items(), upstreams.items()))
    for (one, here), (other, there) in pairs:
        if (
            here.port
            and here.port == there.port
            and _overlap(here.host, there.host)
            and not _apart(one, other)
        ):
            yield Finding(
                other, f"is {there.port}, the port of {one} too", "ports of their own, or 0 for a free one"
            )


def _apart(one: str, other: str) -> bool:
    # The gateway has no service, no inbound and no upstream ports, the injector nothing of either but the admin's.
    sidecar = ("proxy.", "outbound.", "service.", "upstreams.")
    gateway = bool({"gateway.listen", "gateway.redirect"} & {one, other})
    injector = "webhook.listen" in {one, other}
    return (gateway and any(key.startswith(sidecar) for key in (one, other))) or (
        injector and any(key.startswith((*sidecar, "gateway.")) for key in (one, other))
    )


def _overlap(one: str, other: str) -> bool:
    wild = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    local = {"localhost": "127.0.0.1"}
    one, other = local.get(one, one), local.get(other, other)
    return one == other or one in wild or other in wild


def urls(settings: Settings) -> Iterator[Finding]:
    """Consul's and the collector's addresses are addresses."""
    address = settings.registry.address
    if wrong := _wrong_url(address if "://" in address else f"http://{address}", bare=True):
        yield Finding("registry.address", wrong, "a URL such as http://127.0.0.1:8500, or HOST:PORT")
    endpoint = settings.tracing.endpoint
    if endpoint and (wrong := _wrong_url(endpoint, bare=False)):
        yield Finding("tracing.endpoint", wrong, "a URL such as http://127.0.0.1:4318")
    query = settings.tracing.query
    if query and (wrong := _wrong_url(query, bare=False)):
        yield Finding("tracing.query", wrong, "a URL such as http://127.0.0.1:16686")


def _wrong_url(text: str, *, bare: bool) -> str:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return "is not a URL"
    if url.scheme not in {"http", "https"} or not url.hostname or any(char.isspace() for char in text):
        return "is not an http or https URL"
    if port == 0:
        return "has the port 0"
    if "@" in url.netloc:
        return (
            "holds a user or password; Consul takes a token (registry.token)"
            if bare
            else "holds a user or password"
        )
    if url.query or url.fragment or (bare and url.path not in {"", "/"}):
        return "has more than an address" if bare else "has a query or a fragment"
    return ""


def times(settings: Settings) -> Iterator[Finding]:
    """A health check ends before the TTL does, and Consul forgets an instance later than it notices."""
    ttl = settings.registry.ttl
    if settings.service.health_timeout > ttl:
        yield Finding(
            "service.health_timeout", f"is longer than registry.ttl ({ttl:g}s)", "at most registry.ttl"
        )
    if settings.registry.deregister_after < ttl:
        yield Finding(
            "registry.deregister_after", f"is shorter than registry.ttl ({ttl:g}s)", "at least registry.ttl"
        )
