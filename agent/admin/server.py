"""The API's listeners."""

from agent.admin.sources import Sources
from agent.model.address import Address
from agent.runtime.component import Ready


class Admin:
    """Up to three HTTP listeners: the API (loopback names only), the probes, the metrics."""

    name = "admin"
    stop_budget = 3.0

    def __init__(
        self,
        sources: Sources,
        listen: Address,
        *,
        health: Address | None = None,
        metrics: Address | None = None,
    ) -> None:
        raise NotImplementedError

    async def run(self, ready: Ready) -> None:
        """Serve until cancelled.

        Ready when all listeners are bound. Raises Permanent for an address that can't be had.
        """
        raise NotImplementedError
