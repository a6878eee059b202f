"""Settings → what Consul is told of this instance. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.config.settings import Settings
from agent.model.address import Address
from agent.registry import advertise
from agent.runtime.errors import Misconfigured, Problem
from agent.versions import declared

LONGEST_VALUE = 512
"""Characters that Consul takes of a meta's value."""


@dataclass(frozen=True)
class Definition:
    """One instance as it should be registered."""

    instance: str
    """The service's id: the same over restarts."""
    check: str
    """The id of its check."""
    body: Mapping[str, Any]
    """Consul's JSON form; the check's ``Status`` is what the instance starts with."""


def instance_id(settings: Settings, host: str) -> str:
    """``<service>-<host>-<inbound port>`` with what no URL path likes replaced, in a pod ``<service>-<pod uid>``.

    A pod's name comes back in a StatefulSet while Consul may still know the former one; its uid never does.
    The inbound port must have been bound before (``config.bound``).
    """
    if settings.kubernetes.pod_uid:
        return f"{settings.service.name}-{settings.kubernetes.pod_uid}"
    port = Address.parse(settings.proxy.inbound).port
    return f"{settings.service.name}-{re.sub(r'[^A-Za-z0-9.-]', '-', host)}-{port}"


def build(settings: Settings, host: str, address: str) -> Definition:
    """The definition of the instance on ``host`` whose inbound callers reach at ``address``.

    The inbound port must have been bound before (``config.bound``). Raises Misconfigured, see ``problems``.
    """
    if wrong := problems(settings):
        raise Misconfigured(wrong)
    service, registry = settings.service, settings.registry
    port = Address.parse(settings.proxy.inbound).port
    instance = instance_id(settings, host)
    check = {
        "CheckID": f"service:{instance}",
        "Name": "Pillion: the service and its Envoy",
        "TTL": f"{registry.ttl:g}s",
        "DeregisterCriticalServiceAfter": f"{registry.deregister_after:g}s",
        "Status": "critical",
    }
    body: dict[str, Any] = {
        "ID": instance,
        "Name": service.name,
        "Address": address,
        "Port": port,
        "Tags": list(service.tags),
        "Meta": published(settings),
        "Check": check,
    }
    body["Meta"][advertise.HASH] = _hash(body)
    return Definition(instance, check["CheckID"], body)


def published(settings: Settings) -> dict[str, str]:
    """The meta without its hash. Raises ValueError for values that ``problems`` names."""
    meta = dict(settings.service.meta)
    meta |= advertise.written(declared.offer(settings.versions))
    if settings.service.routes:
        meta[advertise.ROUTES] = " ".join(settings.service.routes)
    if settings.service.zone:
        meta[advertise.ZONE] = settings.service.zone
    if port := advertise.metrics_port(settings.admin.metrics, settings.proxy.inbound):
        meta[advertise.METRICS] = str(port)
    if settings.kubernetes.namespace:
        meta[advertise.NAMESPACE] = settings.kubernetes.namespace
    if settings.kubernetes.pod_uid:
        meta[advertise.POD_UID] = settings.kubernetes.pod_uid
    return meta


def problems(settings: Settings) -> list[Problem]:
    """What of these settings Consul can't hold or readers would refuse; ``config.checks`` finds the rest."""
    found = []
    if not settings.service.name:
        found.append(Problem("service.name", "is empty", "one DNS label in lower case, such as orders"))
    identity = settings.kubernetes
    if settings.registry.mode == "catalog" and not (identity.node and identity.pod_uid):
        found.append(
            Problem(
                "registry.mode",
                "is catalog, which needs kubernetes.node and kubernetes.pod_uid: by them others' left-overs are found",
                "agent outside Kubernetes; in a pod the injector sets both",
            )
        )
    try:
        meta = published(settings)
        advertise.offer(meta)
        advertise.routes(meta)
        advertise.zone(meta)
    except ValueError as error:
        return [*found, Problem("service or versions", f"can't be registered: it {error}")]
    found += [
        Problem(setting, f"takes {len(meta[key])} characters in Consul", f"at most {LONGEST_VALUE}")
        for key, setting in _SETTING.items()
        if len(meta.get(key, "")) > LONGEST_VALUE
    ]
    return found


def differences(body: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of ours that differ in what Consul has registered;
    what others added to the meta is left alone.
    """
    pairs = {"name": ("Name", "Service"), "address": ("Address", "Address"), "port": ("Port", "Port")}
    differ = [name for name, (ours, theirs) in pairs.items() if body[ours] != found.get(theirs)]
    tags, meta = found.get("Tags"), found.get("Meta")
    if body["Tags"] != (tags or []):
        differ.append("tags")
    meta = meta if isinstance(meta, Mapping) else {}
    ours = {key for key in meta if isinstance(key, str) and key.startswith(advertise.PREFIX)} | set(
        body["Meta"]
    )
    if any(body["Meta"].get(key) != meta.get(key) for key in ours):
        differ.append("meta")
    return tuple(differ)


_SETTING = {
    advertise.VERSIONS: "versions.serves",
    advertise.DEPRECATED: "versions.deprecated",
    advertise.ROUTES: "service.routes",
}


def _hash(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
