"""The environment that leads a service's own requests to its sidecar. Pure."""

from collections.abc import Mapping

from agent.model.address import Address
from agent.model.direct import LOCAL, METADATA


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
    hosts = dict.fromkeys([*(host.strip() for host in own.split(",")), *LOCAL, *METADATA])
    found = {"HTTP_PROXY": proxy, "NO_PROXY": ",".join(host for host in hosts if host)}
    if https:
        found["HTTPS_PROXY"] = proxy
    found |= {name.lower(): value for name, value in found.items()}
    for name, port in sorted(upstreams.items()):
        found[f"PILLION_UPSTREAM_{name.upper().replace('-', '_')}"] = f"http://127.0.0.1:{port}"
    return found
