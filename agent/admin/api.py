"""What the three listeners answer."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from agent.admin import exposition, files, guard, neighbours
from agent.admin.page import page
from agent.admin.polls import Polls
from agent.admin.sources import Sources
from agent.admin.status import status
from agent.runtime.errors import PillionError, Transient

log = structlog.get_logger(__name__)

LONGEST_BODY = 64 * 1024
"""Bytes of what may be sent here."""


class Api:
    """The handlers, and the three applications made of them."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def whole(self) -> web.Application:
        """Everything, to programs on this machine."""
        app = web.Application(
            middlewares=[guard.plain_headers, guard.local_only], client_max_size=LONGEST_BODY
        )
        self._probes(app)
        app.router.add_get("/", self.index)
        for name in files.TYPES:
            app.router.add_get(f"/{name}", files.answer)
        app.router.add_get("/calls", self.calls)
        app.router.add_get("/status", self.status)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_post("/drain", self.drain)
        if self._sources.explain is not None:
            app.router.add_post("/v1/explain", self.explain)
        if self._sources.store is not None:
            app.router.add_get("/v1/config/{key:.+}", Polls(self._sources.store).answer)
        return app

    def probes(self) -> web.Application:
        """Only whether it lives and whether it is ready, to anyone."""
        app = web.Application(middlewares=[guard.plain_headers], client_max_size=4096)
        self._probes(app)
        return app

    def scrapes(self) -> web.Application:
        """Only metrics, and of them in short what a gateway draws its graph from; to anyone."""
        app = web.Application(middlewares=[guard.plain_headers], client_max_size=4096)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/calls", self.calls)
        return app

    async def health(self, _: web.Request) -> web.Response:
        """200: the agent's loop turns."""
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        """200 when the instance is to get traffic; else 503 with each reason on a line."""
        return _answer(self._sources.ready())

    async def serving(self, _: web.Request) -> web.Response:
        """200 while Envoy has a configuration and does not leave; for the probes of a pod, whose kubelet asks the
        service itself and must not wait for Consul."""
        return _answer(self._sources.serving())

    async def index(self, _: web.Request) -> web.Response:
        """The status page."""
        return web.Response(text=page(await status(self._sources)), content_type="text/html")

    async def status(self, _: web.Request) -> web.Response:
        """The status as JSON."""
        body = msgspec.json.encode(await status(self._sources))
        return web.Response(body=body, content_type="application/json")

    async def metrics(self, _: web.Request) -> web.Response:
        """The agent's metrics, Envoy's, and the service's own where it names a port."""
        envoy, own = await asyncio.gather(
            _asked("envoy", self._sources.envoy_metrics), _asked("service", self._sources.service_metrics)
        )
        told = self._sources.service_metrics is not None
        text = exposition.exposition(self._sources.collectors, envoy, own, of_service=told)
        return web.Response(body=text.encode(), headers={"Content-Type": exposition.CONTENT_TYPE})

    async def calls(self, _: web.Request) -> web.Response:
        """How often this service called which others."""
        traffic = {}
        if self._sources.calls is not None:
            try:
                traffic = dict(await self._sources.calls())
            except Transient as error:
                return web.json_response({"problem": str(error)}, status=503)
        body = msgspec.json.encode(neighbours.told(self._sources.facts.get("service", ""), traffic))
        return web.Response(body=body, content_type="application/json")

    async def drain(self, request: web.Request) -> web.Response:
        """Begin to drain; with ``?wait=1`` answer only when all in flight has ended or its time is over."""
        if self._sources.drain is None:
            return web.json_response({"problem": "This agent has nothing to drain."}, status=501)
        try:
            drained = await self._sources.drain(request.query.get("wait") == "1")
        except PillionError as error:
            return web.json_response({"problem": str(error)}, status=503)
        return web.json_response({"drained": drained})

    async def explain(self, request: web.Request) -> web.Response:
        """What the request in the body would meet; 409 with the reason where this agent can't tell."""
        assert self._sources.explain is not None
        try:
            found = self._sources.explain(await request.read())
        except PillionError as error:
            return web.json_response({"problem": str(error)}, status=409)
        return web.Response(body=msgspec.json.encode(found), content_type="application/json")

    def _probes(self, app: web.Application) -> None:
        app.router.add_get("/healthz", self.health)
        app.router.add_get("/readyz", self.ready)
        app.router.add_get("/envoyz", self.serving)


async def _asked(whose: str, ask: Callable[[], Awaitable[str]] | None) -> str | None:
    """Somebody else's metrics; None where they are not to be had."""
    if ask is None:
        return None
    try:
        return await ask()
    except Transient as error:
        log.debug("metrics.without", whose=whose, error=str(error))
        return None


def _answer(found: tuple[bool, tuple[str, ...]]) -> web.Response:
    ready, reasons = found
    text = "ready\n" if ready else "".join(f"{reason}\n" for reason in reasons) or "not ready\n"
    return web.Response(status=200 if ready else 503, text=text)
