"""What is done with requests to hosts that are no service of the mesh."""

from collections.abc import Container, Iterable, Sequence

from agent.config.settings import Settings
from agent.model.address import Address
from agent.proxy.planner import direct, names
from agent.proxy.planner.durations import seconds
from agent.proxy.planner.fragments import Fragments, within
from agent.proxy.planner.machine import EVERY, machine_host
from agent.proxy.snapshot import Resource

CLUSTER = "external_hosts"
HOP = "x-pillion-hop"
"""Marks a request to an outbound listener of our own: if it comes in, it went round."""
REFUSED = "refused"
"""The route of what ``outbound.policy`` refuses; no other has this name."""
_TUNNEL_IDLE = 3600.0
"""Seconds; pooled TLS connections are silent for long."""
_MUTATIONS = (
    "typed_extension_protocol_options", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "http_filters", 0,
    "typed_config", "mutations", "request_mutations",
)  # fmt: skip
"""Where the fragment takes away what belongs to the mesh."""
_LOOPBACK = ("127.", "0.0.0.0:", "[::1]:", "[::]:", "[::ffff:127.")


def external_hosts(
    settings: Settings, hosts: Sequence[str], outbound: Iterable[int], taken: Container[str]
) -> list[Resource]:
    """The virtual hosts of all that is no service: this machine, and everything else.

    ``hosts`` are this machine's names and addresses, ``outbound`` the ports on which the service's own requests
    arrive, ``taken`` the domains that services have.
    """
    ways = _refused() if settings.outbound.policy == "registry_only" else [_tunnel(), _plain(settings)]
    routes = [_loop_by_another_name(), *ways]
    machine = machine_host(settings, hosts, sorted(outbound), routes, taken)
    return [machine, {"name": "external", "domains": ["*"], "routes": routes}]


def external_cluster(
    settings: Settings, hosts: Iterable[str], outbound: Iterable[int], fragments: Fragments
) -> Resource:
    """The cluster of strangers, which marks what comes back to us."""
    cluster: Resource = fragments.copy("external_cluster")
    within(cluster, "external_cluster", *_MUTATIONS).append(
        {
            "append": {
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                "header": {"key": HOP, "value": f"%CEL({_ours(settings, hosts, outbound)} ? '1' : '')%"},
            }
        }
    )
    return cluster


def _ours(settings: Settings, hosts: Iterable[str], outbound: Iterable[int]) -> str:
    """Whether the address that was found is an outbound listener, as an expression of CEL.

    Where that listens on every address, the machine's own ones are not all known, and the port has to do.
    """
    ports = sorted(outbound)
    here = f"upstream.port in {ports}"
    if Address.parse(settings.proxy.outbound).host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return here
    known = [str(Address(host, port)) for host in sorted(set(hosts)) if names.is_ip(host) for port in ports]
    begins = " || ".join(f"upstream.address.startsWith('{one}')" for one in _LOOPBACK)
    return f"{here} && ({begins} || upstream.address in {known})"


def _loop_by_another_name() -> Resource:
    body = direct.problem(
        508,
        "Loop detected",
        "The host is this machine, and the port the sidecar's; name the service instead.",
    )
    match = {"prefix": "/", "headers": [{"name": HOP, "present_match": True}]}
    return direct.answer(match, 508, body, name="loop by another name")


def _refused() -> list[Resource]:
    body = direct.problem(
        502,
        "Not a registered service",
        "The host is no service of the mesh, and outbound.policy is registry_only.",
    )
    return [direct.answer(match, 502, body, name=REFUSED) for match in EVERY]


def _tunnel() -> Resource:
    upgrade = {"upgrade_type": "CONNECT", "connect_config": {}}
    action = {
        "cluster": CLUSTER,
        "timeout": "0s",
        "idle_timeout": seconds(_TUNNEL_IDLE),
        "upgrade_configs": [upgrade],
    }
    return {"name": "external tunnel", "match": {"connect_matcher": {}}, "route": action}


def _plain(settings: Settings) -> Resource:
    action = {
        "cluster": CLUSTER,
        "timeout": "0s",
        "idle_timeout": seconds(settings.traffic.idle_timeout),
        "retry_policy": {"retry_on": "connect-failure", "num_retries": 1},
    }
    return {"name": "external", "match": {"prefix": "/"}, "route": action}
