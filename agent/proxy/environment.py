"""The environment that leads a service's own requests to its sidecar. Pure."""

from collections.abc import Mapping

from agent.model.address import Address

DIRECT = (
    "localhost",
    "127.0.0.1",
    "::1",
    "169.254.169.254",  # instance metadata of AWS, Azure, Google, OpenStack
    "169.254.170.2",  # credentials of ECS tasks
    "169.254.170.23",  # credentials of EKS pods
    "fd00:ec2::254",
    "metadata.google.internal",
    "100.100.100.200",  # instance metadata of Alibaba
    "168.63.129.16",  # Azure's platform address
)
"""Hosts that are never asked for through the sidecar: the machine itself and the cloud's metadata."""


def service_environment(
    outbound: Address, upstreams: Mapping[str, int], environ: Mapping[str, str], *, https: bool = False
) -> dict[str, str]:
    """The variables to add to a service's environment.

    ``outbound`` is the proxy's listener and ``upstreams`` the explicit ports by upstream, told as
    ``PILLION_UPSTREAM_NAME``, a URL. ``environ`` is the operator's environment, whose ``NO_PROXY`` is kept
    and extended.
    Both cases of each name, because curl ignores the upper case of ``HTTP_PROXY``. ``HTTPS_PROXY`` only
    with ``https``.
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(outbound.host, outbound.host)  # noqa: S104
    proxy = f"http://{Address(host, outbound.port)}"
    own = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    hosts = dict.fromkeys([*(host.strip() for host in own.split(",")), *DIRECT])
    found = {"HTTP_PROXY": proxy, "NO_PROXY": ",".join(host for host in hosts if host)}
    if https:
        found["HTTPS_PROXY"] = proxy
    found |= {name.lower(): value for name, value in found.items()}
    for name, port in sorted(upstreams.items()):
        found[f"PILLION_UPSTREAM_{name.upper().replace('-', '_')}"] = f"http://127.0.0.1:{port}"
    return found
