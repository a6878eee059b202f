"""Who answers for names outside the mesh: what `outbound.dns_resolvers` says, else Consul's DNS. Pure."""

import ipaddress
from urllib.parse import urlsplit

from agent.config.settings import Settings
from agent.model.address import Address

PORT = 53
CONSUL_PORT = 8600
"""Consul's own default for DNS."""


def resolvers_of(settings: Settings) -> tuple[Address, ...]:
    """The resolvers in the order in which they are asked; none where only Consul's name is known.

    Raises ValueError for settings that were never checked.
    """
    given = settings.outbound.dns_resolvers
    if given:
        return tuple(resolver(text) for text in given)
    host = registry_host(settings)
    host = "127.0.0.1" if host == "localhost" else host
    return (Address(host, CONSUL_PORT),) if _is_ip(host) else ()


def resolver(text: str) -> Address:
    """An IP address, with port 53 where it has none; raises ValueError with a clause that says what is wrong."""
    bare = text.removeprefix("[").removesuffix("]")
    found = Address(bare, PORT) if _is_ip(bare) else Address.parse(text)
    if not _is_ip(found.host) or not found.port:
        raise ValueError(f"is {text[:80]!r}, no IP address with a port")
    return found


def registry_host(settings: Settings) -> str:
    """The host in ``registry.address``, in lower case and without brackets; empty where there is none."""
    address = settings.registry.address
    try:
        return urlsplit(address if "://" in address else f"//{address}").hostname or ""
    except ValueError:
        return ""


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host
