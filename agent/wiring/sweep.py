"""The sweep of Consul's catalogue, apart because only ``registry.mode: catalog`` needs it and its client."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agent.config.settings import Settings
from agent.inject.cluster.client import Client
from agent.inject.leader import Leader
from agent.inject.pods import pods
from agent.registry import client
from agent.registry.metrics import Sweeps
from agent.registry.sweep import Sweep
from agent.runtime.component import Component
from agent.runtime.errors import Transient
from agent.runtime.health import Board
from agent.runtime.latest import Latest


@dataclass(frozen=True)
class Own:
    """This pod."""

    name: str
    namespace: str


class Living:
    """The pods that live, as the sweep asks for them; a list that lacks the pod that asks is not to be believed."""

    def __init__(self, cluster: Client, own: Own) -> None:
        self._cluster = cluster
        self._own = own

    async def living(self) -> frozenset[str]:
        """See ``agent.registry.sweep.Pods``."""
        found = await pods(self._cluster)
        if not any(Own(one.name, one.namespace) == self._own for one in found):
            who = f"{self._own.namespace}/{self._own.name}"
            raise Transient(f"the API server's list of pods lacks the one that asks ({who})")
        return frozenset(one.uid for one in found)


@asynccontextmanager
async def sweep(
    settings: Settings, cluster: Client, own: Own, board: Board, metrics: Sweeps
) -> AsyncIterator[tuple[Component, ...]]:
    """The election and the sweep. Raises Misconfigured."""
    identity, webhook = settings.kubernetes, settings.webhook
    # A name may come again in another process: only this one is to take the Lease for its own.
    name = f"{own.name}_{uuid.uuid4().hex[:8]}"
    leading = Latest(False)
    leader = Leader(
        cluster, webhook.lease, webhook.namespace or own.namespace, name, leading, health=board.of("leader")
    )
    async with client.connect(settings.registry) as consul:
        swept = Sweep(
            consul,
            Living(cluster, own),
            leading,
            cluster=identity.cluster,
            own=identity.pod_uid,
            health=board.of("sweep"),
            metrics=metrics,
        )
        yield leader, swept
