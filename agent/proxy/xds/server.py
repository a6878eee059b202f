"""The ADS server."""

from pathlib import Path

from agent.model.revision import Revision
from agent.proxy.metrics import Metrics
from agent.proxy.snapshot import Snapshot
from agent.proxy.xds.store import SnapshotStore
from agent.runtime.component import Ready
from agent.runtime.health import Health
from agent.runtime.latest import Latest


class AdsServer:
    """Serves aggregated xDS on a unix socket (mode 0600) to one Envoy, and says in ``revision`` what came of it."""

    name = "xds"
    stop_budget = 2.0

    def __init__(
        self,
        path: Path,
        snapshots: Latest[Snapshot | None],
        revision: Latest[Revision],
        store: SnapshotStore,
        health: Health,
        metrics: Metrics,
        *,
        retry_interval: float = 30.0,
    ) -> None:
        raise NotImplementedError

    async def run(self, ready: Ready) -> None:
        """Serve until cancelled; ready when the socket listens."""
        raise NotImplementedError
