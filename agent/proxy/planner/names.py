"""Which names, addresses and paths of the catalogue are used at all: all of them were written by others."""

import ipaddress
import re
from collections.abc import Container

from agent.model.address import Address

_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PREFIX = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]+|\{version\}))+|/")
_LONGEST_PREFIX = 200

VERSION_SLOT = "{version}"
"""Where a published route has the version, as in ``/api/{version}/orders``."""


def is_namespace(text: str) -> bool:
    """Whether a text may be a Kubernetes namespace: one DNS label in lower case."""
    return bool(_NAMESPACE.fullmatch(text))


def aliases(name: str, namespace: str, short: Container[str] = ()) -> tuple[str, ...]:
    """The names of Kubernetes by which the instances in a namespace are called.

    ``NAME.NS`` only for the namespaces in ``short``, which the operator named: anybody who may write into Consul
    could else take ``example.com`` by a service ``example`` in a namespace ``com``.
    """
    long, brief = f"{name}.{namespace}.svc", f"{name}.{namespace}"
    named = namespace in short and brief not in hosts(name)
    return (long, f"{long}.cluster.local", *([brief] if named else []))


def is_endpoint(address: Address) -> bool:
    """Whether Envoy can connect there: a plain IP address (EDS resolves no names) and a port."""
    if not 0 < address.port <= 65535 or "%" in address.host:
        return False
    try:
        found = ipaddress.ip_address(address.host)
    except ValueError:
        return False
    mapped = found.version == 6 and found.ipv4_mapped is not None
    broadcast = address.host == "255.255.255.255"
    # Link-local is where clouds keep their metadata; no instance is reached there.
    return not (found.is_unspecified or found.is_multicast or found.is_link_local or mapped or broadcast)


def is_ip(host: str) -> bool:
    """Whether the text is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_prefix(path: str) -> bool:
    """Whether a published path prefix can be matched literally, with at most one ``{version}``, as a whole
    segment."""
    return len(path) <= _LONGEST_PREFIX and bool(_PREFIX.fullmatch(path)) and path.count(VERSION_SLOT) <= 1


def hosts(name: str) -> tuple[str, ...]:
    """The host names by which a service is called, beside the aliases of its namespaces."""
    return (name, f"{name}.service.consul", f"{name}.pillion")
