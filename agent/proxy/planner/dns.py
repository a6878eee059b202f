"""The DNS listener: the names of the mesh for programs that ask DNS, all other names handed on.

``NAME.service.consul`` means what it means to Consul's own DNS: the addresses of the passing instances, and as
``_NAME._tcp.service.consul`` their ports too. ``NAME.pillion`` is the sidecar's own address: a request to it at
the outbound's port is balanced, retried and traced like any other.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.config.resolvers import resolvers_of
from agent.config.settings import Settings
from agent.model.address import Address
from agent.model.catalog import Instance
from agent.proxy.planner.durations import seconds
from agent.proxy.planner.fragments import Fragments, within
from agent.proxy.planner.targets import Target
from agent.proxy.snapshot import Resource

NAME = "dns"
ANSWER_TTL = 30.0
"""Seconds; Envoy takes no fewer."""
SERVICE_TTL = 5.0
"""Seconds that the list of a service's instances may be kept; the names in it mean the same for ever."""
MOST_INSTANCES = 500
"""Of one service; an answer holds eight at most."""
_LOCAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def dns_listeners(settings: Settings, targets: Sequence[Target], fragments: Fragments) -> dict[str, Resource]:
    """The listener by its name; none where ``outbound.dns`` is off."""
    if not settings.outbound.dns:
        return {}
    address = Address.parse(settings.outbound.dns)
    listener: Resource = fragments.copy("dns")
    listener["name"] = NAME
    place = within(listener, "dns", "address", "socket_address")
    place |= {"address": address.host, "port_value": address.port}
    config = within(listener, "dns", "listener_filters", 0, "typed_config")
    within(config, "dns", "server_config", "inline_dns_table")["virtual_domains"] = _table(settings, targets)
    resolver = within(config, "dns", "client_config", "typed_dns_resolver_config", "typed_config")
    resolver["resolvers"] = [
        {"socket_address": {"address": one.host, "port_value": one.port}} for one in resolvers_of(settings)
    ]
    return {NAME: listener}


@dataclass(frozen=True)
class Names:
    """What one service adds to the table."""

    domains: tuple[Resource, ...]
    service: Resource | None
    """Its SRV records; None without instances."""


def names_of(target: Target, outbound: str, zone: str) -> Names:
    """The names of one service; ``outbound`` is the address of the proxy's listener, ``zone`` the caller's."""
    own = _domain(f"{target.name}.pillion", [_LOCAL.get(outbound, outbound)])
    instances = target.instances[:MOST_INSTANCES]
    if not instances:
        return Names((own,), None)
    hosts = list(dict.fromkeys(one.address.host for one in instances))
    each = (_domain(_host_name(one.address), [one.address.host]) for one in instances)
    domains = (own, _domain(f"{target.name}.service.consul", hosts), *each)
    return Names(domains, _service(target.name, instances, zone))


def _table(settings: Settings, targets: Iterable[Target]) -> list[Resource]:
    outbound, zone = Address.parse(settings.proxy.outbound).host, settings.service.zone
    parts = [names_of(target, outbound, zone) for target in targets]
    found = {domain["name"]: domain for part in parts for domain in part.domains}
    services = [part.service for part in parts if part.service]
    if services:
        # Behind the names: Envoy takes services only for a suffix that it knows already.
        found["service.consul"] = {
            "name": "service.consul",
            "answer_ttl": seconds(ANSWER_TTL),
            "endpoint": {"service_list": {"services": services}},
        }
    return list(found.values())


def _domain(name: str, hosts: Sequence[str]) -> Resource:
    endpoint = {"address_list": {"address": hosts}}
    return {"name": name, "answer_ttl": seconds(ANSWER_TTL), "endpoint": endpoint}


def _service(name: str, instances: Iterable[Instance], zone: str) -> Resource:
    return {
        "service_name": name,
        "protocol": {"name": "tcp"},
        "ttl": seconds(SERVICE_TTL),
        "targets": [
            {
                "host_name": _host_name(one.address),
                "port": one.address.port,
                "priority": 1 if zone and one.zone != zone else 0,
                "weight": 1,
            }
            for one in instances
        ],
    }


def _host_name(address: Address) -> str:
    """One name for each address and port: two instances on one machine are two targets."""
    packed = ipaddress.ip_address(address.host).packed.hex()
    return f"{packed}-{address.port}.instance.service.consul"
