"""Which addresses of the catalogue an Envoy sends requests to. Whoever may write into Consul chooses them."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from agent.config.resolvers import registry_host
from agent.config.settings import Settings
from agent.model.address import Address
from agent.proxy.planner import names


@dataclass(frozen=True)
class Reach:
    """What besides its form decides whether an instance's address is used."""

    loopback: bool = True
    """Loopback addresses are: all of the mesh may be on this machine."""
    own: frozenset[int] = frozenset()
    """Ports of listeners that lead into the mesh or to the agent: no instance is there."""
    hosts: frozenset[str] = frozenset()
    """Addresses of this machine other than loopback."""

    def wrong(self, address: Address) -> str:
        """Why the address is not used, as a clause; empty when it is."""
        if not names.is_endpoint(address):
            return "is no IP address and port"
        if address.port in self.own and (address.host in self.hosts or is_loopback(address.host)):
            return "is a listener of this agent's own"
        if not self.loopback and is_loopback(address.host):
            return "is a loopback address, which here would be this very machine (registry.loopback)"
        return ""


def sidecar(settings: Settings, hosts: Iterable[str] = ()) -> Reach:
    """The reach of a sidecar. ``settings`` are bound; ``hosts`` are this machine's names and addresses."""
    outbound = Address.parse(settings.proxy.outbound).port
    explicit = (one.port for one in settings.upstreams.values() if one.port > 0)
    return _reach(settings, hosts, (outbound, *explicit))


def gateway(settings: Settings, hosts: Iterable[str] = ()) -> Reach:
    """The reach of a gateway; likewise."""
    return _reach(settings, hosts, (Address.parse(settings.gateway.listen).port,))


def _reach(settings: Settings, hosts: Iterable[str], ports: Iterable[int]) -> Reach:
    admin = Address.parse(settings.admin.listen).port
    return Reach(
        loopback_allowed(settings),
        frozenset({*ports, admin} - {0}),
        frozenset(host for host in (*hosts, settings.service.address) if names.is_ip(host)),
    )


def loopback_allowed(settings: Settings) -> bool:
    """Whether an instance may have a loopback address; see the setting ``registry.loopback``."""
    if settings.registry.loopback != "auto":
        return settings.registry.loopback == "allow"
    host = registry_host(settings)
    return host == "localhost" or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether the text is a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
