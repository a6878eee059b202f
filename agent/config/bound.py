"""Settings whose ports are real: every port 0 replaced by one that was chosen, and kept over restarts."""

from collections.abc import Callable, Iterator

import msgspec

from agent.config.settings import Settings
from agent.model.address import Address

Keep = Callable[[str, str, int], int]
"""(name, host, port) → the port to use: ``port`` itself, or for 0 a free one that the name has kept."""

_LISTENERS = (
    ("inbound", "proxy", "inbound"),
    ("outbound", "proxy", "outbound"),
    ("dns", "outbound", "dns"),
    ("gateway", "gateway", "listen"),
    ("redirect", "gateway", "redirect"),
    ("admin", "admin", "listen"),
    ("health", "admin", "health"),
    ("metrics", "admin", "metrics"),
)


def bound(settings: Settings, keep: Keep) -> Settings:
    """The same settings with the ports that this instance uses.

    The names under which ports are kept: ``inbound``, ``outbound``, ``dns``, ``gateway``, ``redirect``, ``admin``,
    ``health``, ``metrics``, ``service`` and ``upstream.NAME``."""
    for name, section, field in _LISTENERS:
        listen = getattr(getattr(settings, section), field)
        if listen:
            settings = _replaced(settings, section, field, str(_chosen(name, Address.parse(listen), keep)))
    service = settings.service
    settings = _replaced(settings, "service", "port", keep("service", service.host, service.port))
    upstreams = {
        name: msgspec.structs.replace(upstream, port=keep(f"upstream.{name}", "127.0.0.1", upstream.port))
        if upstream.port >= 0
        else upstream
        for name, upstream in settings.upstreams.items()
    }
    return msgspec.structs.replace(settings, upstreams=upstreams)


def ports(settings: Settings, *, gateway: bool = False) -> dict[str, int]:
    """The ports that a sidecar listens on, or a gateway, by the names above; what is off is left out.

    The settings were bound."""
    found = {name: address.port for name, _, address in _listeners(settings, gateway=gateway)}
    if gateway:
        return found
    found["service"] = settings.service.port
    found |= {
        f"upstream.{name}": upstream.port
        for name, upstream in settings.upstreams.items()
        if upstream.port > 0
    }
    return found


def listeners(settings: Settings, *, gateway: bool = False) -> dict[str, Address]:
    """Where a sidecar with its Envoy listens, or a gateway, by the setting; what is off is left out.

    Not what an Envoy of somebody else (``proxy.mode`` external) does, which may have it since long before the start.
    """
    return {
        key: address
        for _, key, address in _listeners(settings, gateway=gateway)
        if settings.proxy.mode == "managed" or key.startswith("admin.")
    }


def _listeners(settings: Settings, *, gateway: bool) -> Iterator[tuple[str, str, Address]]:
    foreign = {"inbound", "outbound", "dns"} if gateway else {"gateway", "redirect"}
    for name, section, field in _LISTENERS:
        listen = getattr(getattr(settings, section), field)
        if listen and name not in foreign:
            yield name, f"{section}.{field}", Address.parse(listen)


def _chosen(name: str, address: Address, keep: Keep) -> Address:
    return Address(address.host, keep(name, address.host, address.port))


def _replaced(settings: Settings, section: str, field: str, value: object) -> Settings:
    part = msgspec.structs.replace(getattr(settings, section), **{field: value})
    return msgspec.structs.replace(settings, **{section: part})
