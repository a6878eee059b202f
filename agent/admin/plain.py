"""Probes and metrics of a process without Envoy and without an API: the injector's."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from aiohttp import web
from prometheus_client import CollectorRegistry

from agent.admin import guard
from agent.admin.exposition import CONTENT_TYPE, own
from agent.admin.server import GOODBYE, bind
from agent.model.address import Address
from agent.runtime.component import Ready

Word = Callable[[], tuple[bool, tuple[str, ...]]]
"""Whether the process is to be asked, and if not, each reason as a sentence."""


class Plain:
    """``/healthz`` and ``/readyz`` at one address, ``/metrics`` at another; each may be off."""

    name = "admin"
    stop_budget = 3.0

    def __init__(
        self, ready: Word, collectors: CollectorRegistry, *, health: Address | None, metrics: Address | None
    ) -> None:
        self._ready = ready
        self._collectors = collectors
        self._health = health
        self._metrics = metrics

    async def run(self, ready: Ready) -> None:
        """Serve until cancelled; raises Permanent for an address that can't be had."""
        probes = {"/healthz": self._lives, "/readyz": self._serves}
        listeners = (
            (self._health, probes, "admin.health"),
            (self._metrics, {"/metrics": self._counts}, "admin.metrics"),
        )
        async with AsyncExitStack() as stack:
            for address, routes, key in listeners:
                if address is None:
                    continue
                app = web.Application(middlewares=[guard.plain_headers], client_max_size=4096)
                for path, answer in routes.items():
                    app.router.add_get(path, answer)
                runner = web.AppRunner(app, access_log=None, shutdown_timeout=GOODBYE)
                await runner.setup()
                stack.push_async_callback(runner.cleanup)
                await bind(runner, address, key)
            ready()
            await asyncio.Event().wait()

    async def _lives(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _serves(self, _: web.Request) -> web.Response:
        ready, reasons = self._ready()
        text = "ready\n" if ready else "".join(f"{reason}\n" for reason in reasons)
        return web.Response(status=200 if ready else 503, text=text)

    async def _counts(self, _: web.Request) -> web.Response:
        return web.Response(body=own(self._collectors).encode(), headers={"Content-Type": CONTENT_TYPE})
