"""The API's listeners."""

import asyncio
from contextlib import AsyncExitStack

from aiohttp import web

from agent.admin.api import Api
from agent.admin.sources import Sources
from agent.model.address import Address
from agent.runtime.component import Ready
from agent.runtime.errors import Permanent

GOODBYE = 1.0
"""Seconds that answers under way have when the agent stops; long polls end with it."""


class Admin:
    """Up to three HTTP listeners: the API (loopback names only), the probes, the metrics."""

    name = "admin"
    stop_budget = 4.0

    def __init__(
        self,
        sources: Sources,
        listen: Address,
        *,
        health: Address | None = None,
        metrics: Address | None = None,
    ) -> None:
        api = Api(sources)
        self._apps = [(listen, api.whole(), "admin.listen")]
        if health is not None:
            self._apps.append((health, api.probes(), "admin.health"))
        if metrics is not None:
            self._apps.append((metrics, api.scrapes(), "admin.metrics"))

    async def run(self, ready: Ready) -> None:
        """Serve until cancelled; ready when all listeners are bound.

        Raises Permanent for an address that can't be had.
        """
        async with AsyncExitStack() as stack:
            for address, app, key in self._apps:
                runner = web.AppRunner(
                    app, access_log=None, handler_cancellation=True, shutdown_timeout=GOODBYE
                )
                await runner.setup()
                stack.push_async_callback(runner.cleanup)
                await bind(runner, address, key)
            ready()
            await asyncio.Event().wait()


async def bind(runner: web.AppRunner, address: Address, key: str) -> None:
    """Listen at the address; raises Permanent naming the setting ``key``."""
    try:
        await web.TCPSite(runner, address.host, address.port, reuse_address=True).start()
    except OSError as error:
        reason = error.strerror or str(error)
        raise Permanent(f"listening on {address} ({key}) failed: {reason}; free it or set {key}") from error
