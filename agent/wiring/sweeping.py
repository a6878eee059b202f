"""What one replica of the injector does for all: it removes from Consul what dead pods left there."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from agent.config.settings import Settings
from agent.inject.cluster import access
from agent.inject.cluster.client import Client
from agent.inject.leader import Leader
from agent.inject.pods import pods
from agent.registry import client as consul
from agent.registry.metrics import Sweeps
from agent.registry.sweep import Sweep
from agent.runtime.component import Component
from agent.runtime.errors import Misconfigured, Problem, Transient
from agent.runtime.health import Board
from agent.runtime.latest import Latest


class Living:
    """The pods that live, as the sweep asks for them; the list must hold the pod that asks."""

    def __init__(self, client: Client, name: str, namespace: str) -> None:
        """``name`` and ``namespace`` are this pod's."""
        self._client = client
        self._name = name
        self._namespace = namespace

    async def living(self) -> frozenset[str]:
        """See ``agent.registry.sweep.Pods``."""
        found = await pods(self._client)
        if not any((one.name, one.namespace) == (self._name, self._namespace) for one in found):
            raise Transient(f"the API server's list of pods lacks this one ({self._namespace}/{self._name})")
        return frozenset(one.uid for one in found)


@asynccontextmanager
async def sweeping(
    settings: Settings, client: Client, environ: Mapping[str, str], board: Board, metrics: Sweeps
) -> AsyncIterator[tuple[Component, ...]]:
    """Leader and sweep, in the order of their start. Raises Misconfigured."""
    name = settings.kubernetes.pod or environ.get("POD_NAME", "")
    if not name:
        wrong = "is not set, so that nobody knows which pod this is"
        raise Misconfigured(
            [Problem("POD_NAME", wrong, "the pod's name, as the chart gives it (metadata.name)")]
        )
    own = access.own_namespace(Path(settings.webhook.account_dir))
    leading = Latest(False)
    async with consul.connect(settings.registry) as registry:
        leader = Leader(
            client, settings.webhook.lease, settings.webhook.namespace or own, name, leading,
            health=board.of("leader"),
        )  # fmt: skip
        sweep = Sweep(
            registry, Living(client, name, own), leading,
            cluster=settings.kubernetes.cluster, own=settings.kubernetes.pod_uid, health=board.of("sweep"),
            metrics=metrics,
        )  # fmt: skip
        yield leader, sweep
