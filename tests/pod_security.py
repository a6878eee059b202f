"""The Pod Security Standard `restricted` as checks on a pod, after Kubernetes' documentation of the standards."""

from collections.abc import Iterator, Mapping
from typing import Any

VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
"""Kinds of volumes that are allowed."""

SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    }
)
SELINUX = frozenset({None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})


def violations(spec: Mapping[str, Any]) -> list[str]:
    """What a pod's ``spec`` does that a namespace that enforces `restricted` does not admit; a line each."""
    found = [f"spec.{key}" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    security = spec.get("securityContext") or {}
    found += [f"spec.securityContext.{line}" for line in _both(security)]
    for one in security.get("sysctls") or []:
        if one.get("name") not in SYSCTLS:
            found.append(f"sysctl {one.get('name')}")
    for volume in spec.get("volumes") or []:
        kinds = {key for key, value in volume.items() if key != "name" and value is not None}
        if not kinds <= VOLUMES:
            found.append(f"volume {volume.get('name')}: {sorted(kinds - VOLUMES)}")
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or []:
            found += [f"{container.get('name')}: {line}" for line in _container(container, security)]
    return found


def _container(container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    own = container.get("securityContext") or {}
    yield from _both(own)
    if own.get("privileged"):
        yield "privileged"
    if own.get("procMount") not in {None, "Default"}:
        yield "procMount"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    capabilities = own.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield "capabilities.drop has no ALL"
    if set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield "capabilities.add"
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot is not true"
    profile = own.get("seccompProfile") or pod.get("seccompProfile") or {}
    if profile.get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "seccompProfile"
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield "hostPort"
    yield from _hosts(container)


def _both(security: Mapping[str, Any]) -> Iterator[str]:
    """What may not be in a pod's security context, nor in a container's."""
    if security.get("runAsUser") == 0:
        yield "runAsUser is 0"
    if (security.get("seccompProfile") or {}).get("type") == "Unconfined":
        yield "seccompProfile is Unconfined"
    if (security.get("appArmorProfile") or {}).get("type") not in {None, "RuntimeDefault", "Localhost"}:
        yield "appArmorProfile"
    options = security.get("seLinuxOptions") or {}
    if options.get("type") not in SELINUX or options.get("user") or options.get("role"):
        yield "seLinuxOptions"
    if (security.get("windowsOptions") or {}).get("hostProcess"):
        yield "hostProcess"


def _hosts(container: Mapping[str, Any]) -> Iterator[str]:
    """Probes and hooks at another host, which are not admitted from 1.34 on."""
    hooks = container.get("lifecycle") or {}
    places = [container.get(f"{kind}Probe") for kind in ("liveness", "readiness", "startup")]
    for place in [*places, hooks.get("preStop"), hooks.get("postStart")]:
        for how in ("httpGet", "tcpSocket"):
            if ((place or {}).get(how) or {}).get("host"):
                yield f"{how}.host"
