"""The checks of a Kubernetes cluster: what each reads, and the rule that decides."""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import yaml

from agent.doctor.documents import Documents, Object
from agent.doctor.finding import Check, Finding, absent
from agent.doctor.rules import (
    authority,
    injection,
    objects,
    registry,
    services,
    sidecars,
    versions,
    webhooks,
)
from agent.doctor.rules.pods import Pod
from agent.doctor.rules.registry import Told
from agent.runtime.errors import Permanent, PillionError

Rule = Callable[[], Awaitable[Iterable[Finding]]]

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
SETTINGS = "pillion.yaml"
"""Key of the ConfigMap that holds the injector's settings."""


class Cluster:
    """Reads a cluster for its checks."""

    def __init__(self, documents: Documents, now: Callable[[], float] = time.time) -> None:
        """``now`` is the wall clock in seconds."""
        self._documents = documents
        self._now = now

    def checks(self) -> tuple[Check, ...]:
        """All of them, in the order in which their findings are told."""
        return (
            self._check("kubernetes.version", "the API server's version", self._version),
            self._check("kubernetes.nodes", "the nodes", self._nodes),
            self._check("webhook.present", "the injector's webhook configuration", self._webhook),
            self._check("webhook.ca", "the webhook's CA", self._authority),
            self._check("webhook.ca-secret", "the Secret of the webhook's CA", self._secret),
            self._check("webhook.service", "the webhook's Service", self._answers),
            self._check("injection", "who is injected", self._injection),
            self._check("sidecars", "the sidecars", self._sidecars),
            self._check("services.bypass", "the Services", self._services),
            self._check("consul", "Consul in the cluster", self._consul),
        )

    def _check(self, id_: str, subject: str, rule: Rule) -> Check:
        async def look() -> Sequence[Finding]:
            # One sentence is enough for an API server that can't be asked: that of the first check.
            if rule != self._version and not await self._answers_at_all():
                return [absent(id_, subject, "the API server can't be asked")]
            return list(await rule())

        return Check(id_, subject, look)

    async def _answers_at_all(self) -> bool:
        try:
            return await self._documents.one("/version") is not None
        except PillionError:
            return False

    async def _version(self) -> Iterable[Finding]:
        return versions.cluster(await self._documents.one("/version"))

    async def _nodes(self) -> Iterable[Finding]:
        return versions.nodes(await self._documents.all("/api/v1/nodes"))

    async def _webhook(self) -> Iterable[Finding]:
        found = await self._documents.all(CONFIGURATIONS)
        return [*webhooks.present(found), *webhooks.failure(found)]

    async def _authority(self) -> Iterable[Finding]:
        found = webhooks.ours(await self._documents.all(CONFIGURATIONS))
        if not found:
            return [absent("webhook.ca", "the webhook's CA", "there is no webhook configuration")]
        return [finding for one in found for finding in authority.bundle(one, self._now())]

    async def _secret(self) -> Iterable[Finding]:
        findings = []
        for one in webhooks.ours(await self._documents.all(CONFIGURATIONS)):
            for place in webhooks.services([one])[:1]:
                path = f"/api/v1/namespaces/{place.namespace}/secrets/{objects.name(one)}"
                made = await self._documents.one(f"{path}-ca")
                given = None if made else await self._documents.one(f"{path}-tls")
                findings += [authority.matching(one, made or given), authority.serving(given, self._now())]
        return findings

    async def _answers(self) -> Iterable[Finding]:
        findings: list[Finding] = []
        for place in webhooks.services(await self._documents.all(CONFIGURATIONS)):
            findings += webhooks.answers(place, await self._service(place), await self._slices(place))
        return findings

    async def _injection(self) -> Iterable[Finding]:
        namespaces, pods = await self._documents.all("/api/v1/namespaces"), await self._pods()
        return [*injection.by_namespace(namespaces, pods), *injection.missing(namespaces, pods)]

    async def _sidecars(self) -> Iterable[Finding]:
        pods, told = await self._pods(), await self._told()
        rules = (
            sidecars.native(pods),
            sidecars.ready(pods),
            sidecars.versions(pods, told.image),
            sidecars.jobs(pods),
        )
        return [finding for rule in rules for finding in rule]

    async def _services(self) -> Iterable[Finding]:
        return services.bypassing(await self._documents.all("/api/v1/services"), await self._pods())

    async def _consul(self) -> Iterable[Finding]:
        told = await self._told()
        daemons = await self._documents.all("/apis/apps/v1/daemonsets")
        lease = await self._lease() if told.mode == "catalog" else None
        sweep = registry.sweep(told, lease, self._now())
        place = told.service
        service = await self._service(place) if place else None
        slices = await self._slices(place) if place else []
        return [
            *registry.mode(told, webhooks.ready_endpoints(slices)),
            *registry.agents(told, daemons, await self._pods() if told.at_node else []),
            *sweep,
            *registry.servers(told, service, slices),
        ]

    async def _lease(self) -> Object | None:
        """The Lease by which one of the injectors leads; it is called like the webhook configuration."""
        for one in webhooks.ours(await self._documents.all(CONFIGURATIONS)):
            for place in webhooks.services([one])[:1]:
                path = f"/apis/coordination.k8s.io/v1/namespaces/{place.namespace}/leases/{objects.name(one)}"
                return await self._documents.one(path)
        return None

    async def _pods(self) -> list[Pod]:
        return [Pod(one) for one in await self._documents.all("/api/v1/pods")]

    async def _service(self, place: webhooks.Service) -> Object | None:
        return await self._documents.one(f"/api/v1/namespaces/{place.namespace}/services/{place.name}")

    async def _slices(self, place: webhooks.Service) -> list[Object]:
        path = f"/apis/discovery.k8s.io/v1/namespaces/{place.namespace}/endpointslices"
        return await self._documents.all(path, f"labelSelector=kubernetes.io/service-name%3D{place.name}")

    async def _told(self) -> Told:
        """The injector's settings, from its ConfigMap; nothing where that may not be read or is not there."""
        for one in webhooks.ours(await self._documents.all(CONFIGURATIONS)):
            for place in webhooks.services([one])[:1]:
                path = f"/api/v1/namespaces/{place.namespace}/configmaps/{objects.name(one)}"
                with suppress(Permanent):
                    return told(await self._documents.one(path))
        return Told()


def told(configmap: Any) -> Told:
    """What the injector's ConfigMap says. Pure."""
    try:
        settings = yaml.safe_load(objects.part(configmap, "data", SETTINGS) or "")
    except (yaml.YAMLError, AttributeError):
        return Told()
    said = {
        key: objects.text(settings, "injector", key) for key in ("registry_mode", "consul_address", "image")
    }
    return Told(said["registry_mode"], said["consul_address"], said["image"])
