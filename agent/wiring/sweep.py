"""The sweep of Consul's catalogue, apart because only ``registry.mode: catalog`` needs it and its client."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.config.settings import Settings
from agent.inject.cluster.client import Client
from agent.inject.leader import Leader
from agent.inject.pods import Pods
from agent.registry import client
from agent.registry.sweep import Sweep
from agent.runtime.component import Component
from agent.runtime.health import Board
from agent.runtime.latest import Latest


@asynccontextmanager
async def sweep(
    settings: Settings, cluster: Client, namespace: str, host: str, board: Board
) -> AsyncIterator[tuple[Component, ...]]:
    """The election and the sweep; ``namespace`` is the Lease's, ``host`` this machine's name. Raises Misconfigured."""
    identity = settings.kubernetes
    # A name may come again in another process: only this one is to take the Lease for its own.
    name = f"{identity.pod or host}_{uuid.uuid4().hex[:8]}"
    leading = Latest(False)
    leader = Leader(cluster, settings.webhook.lease, namespace, name, leading, health=board.of("leader"))
    async with client.connect(settings.registry) as consul:
        swept = Sweep(
            consul,
            Pods(cluster),
            leading,
            cluster=identity.cluster,
            own=identity.pod_uid,
            health=board.of("sweep"),
        )
        yield leader, swept
