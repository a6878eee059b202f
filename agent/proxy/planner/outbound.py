"""The outbound: the service's HTTP_PROXY and its explicit upstream ports."""

from collections.abc import Container, Iterable, Mapping, Sequence

from agent.config.settings import Settings
from agent.model.address import Address
from agent.model.names import is_service
from agent.proxy.planner import direct, external, names, retry
from agent.proxy.planner.durations import seconds
from agent.proxy.planner.fragments import Fragments, connection_manager
from agent.proxy.planner.listener import listener
from agent.proxy.planner.machine import EVERY
from agent.proxy.planner.memo import Memo
from agent.proxy.planner.routes import Way, upstream_routes, version_metadata
from agent.proxy.planner.targets import Target
from agent.proxy.planner.traffic import Treatment, treatment
from agent.proxy.planner.versioning import Entry
from agent.proxy.snapshot import Resource

NAME = "outbound"


def explicit_ports(settings: Settings) -> dict[str, int]:
    """The local port of each upstream that has one."""
    return {
        name: upstream.port
        for name, upstream in sorted(settings.upstreams.items())
        if upstream.port > 0 and is_service(name)
    }


def own_ports(settings: Settings) -> frozenset[int]:
    """The ports on which the service's own requests arrive."""
    return frozenset((Address.parse(settings.proxy.outbound).port, *explicit_ports(settings).values()))


def outbound_listeners(settings: Settings, fragments: Fragments) -> dict[str, Resource]:
    """The proxy's listener and one for each explicit port, by name."""
    addresses = {NAME: Address.parse(settings.proxy.outbound)}
    addresses |= {
        _port_name(name): Address("127.0.0.1", port) for name, port in explicit_ports(settings).items()
    }
    found = {
        name: listener(
            "outbound",
            settings,
            fragments,
            name=name,
            address=address,
            early=("outgoing", "trace"),
            service=settings.service.name,
            replies=True,
        )
        for name, address in addresses.items()
    }
    if settings.outbound.policy == "registry_only":
        logs = connection_manager(found[NAME], "outbound").setdefault("access_log", [])
        logs.append(fragments.copy("refused_count"))
    return found


def _port_name(upstream: str) -> str:
    return f"port_{upstream}"


def outbound_routes(
    settings: Settings,
    every: Mapping[str, Target],
    left_out: Iterable[str],
    hosts: Sequence[str],
    memo: Memo,
) -> dict[str, Resource]:
    """The route configurations of all outbound listeners, by name.

    ``every`` has all targets by their cluster, those of single namespaces too.
    """
    ports = explicit_ports(settings)
    by_name = {target.name: target for target in every.values() if not target.scope}
    short = {settings.kubernetes.namespace, *settings.kubernetes.namespaces}
    made = memo.each("host", every, lambda one: _virtual_host(one, treatment(settings, one.name), short))
    virtual = list(made.values())
    beyond = sorted({name for name in left_out if is_service(name)} - set(by_name))
    if beyond:
        virtual.append(_left_out(beyond))
    taken = {domain for host in virtual for domain in host["domains"]}
    virtual += external.external_hosts(settings, hosts, own_ports(settings), taken)
    found = {NAME: _configuration(NAME, virtual)}
    for name in ports:
        routes = upstream_routes(by_name[name], treatment(settings, name), Way(Entry(), host=name))
        host = {"name": name, "domains": ["*"], "routes": routes}
        found[_port_name(name)] = _configuration(_port_name(name), [host])
    return found


def _configuration(name: str, virtual_hosts: list[Resource]) -> Resource:
    return {
        "name": name,
        "virtual_hosts": virtual_hosts,
        "validate_clusters": True,
        "ignore_port_in_host_matching": True,
        "max_direct_response_body_size_bytes": direct.LARGEST_BODY,
    }


def _virtual_host(target: Target, treated: Treatment, short: Container[str]) -> Resource:
    routes = [*_tunnels(target, treated), *upstream_routes(target, treated, Way(Entry()))]
    namespace = target.scope or target.one_namespace
    domains = [] if target.scope else [*names.hosts(target.name)]
    domains += names.aliases(target.name, namespace, short) if namespace else ()
    return {"name": target.title, "domains": domains, "routes": routes}


def _tunnels(target: Target, treated: Treatment) -> list[Resource]:
    """CONNECT to a service: plain HTTP within the tunnel works; TLS can't, because instances speak HTTP."""
    refused = direct.problem(
        502,
        "Services speak http",
        f"{target.name} is a service of the mesh: use http://{target.name}/ without TLS.",
    )
    action: Resource = {
        "cluster": target.cluster,
        "timeout": "0s",
        "idle_timeout": seconds(treated.traffic.idle_timeout),
        "upgrade_configs": _CONNECT,
    }
    policy = retry.to_upstream(False, 1, 0, treated.zoned)
    if policy:
        action["retry_policy"] = policy
    if target.table is not None:
        version = target.table.resolve(treated.pin) or target.table.unnamed
        action["metadata_match"] = version_metadata(version)
    return [
        direct.answer(_TUNNEL_FOR_TLS, 502, refused, name=f"{target.name} tls"),
        {"name": f"{target.name} tunnel", "match": _TUNNEL, "route": action},
    ]


_CONNECT: list[Resource] = [{"upgrade_type": "CONNECT", "connect_config": {}}]
_TUNNEL: Resource = {"connect_matcher": {}}
_TUNNEL_FOR_TLS: Resource = {
    **_TUNNEL,
    "headers": [{"name": ":authority", "string_match": {"suffix": ":443"}}],
}


def _left_out(beyond: Sequence[str]) -> Resource:
    body = direct.problem(
        503,
        "Beyond the limit of upstreams",
        "The service is registered, but a sidecar watches 100 at most: name the wanted ones in `upstreams`.",
    )
    answers = [direct.answer(match, 503, body, name="left out") for match in EVERY]
    return {
        "name": "left-out.",
        "domains": [host for name in beyond for host in names.hosts(name)],
        "routes": answers,
    }
