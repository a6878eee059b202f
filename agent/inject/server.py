"""The webhook's HTTPS server, and the order in which it leaves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from agent.inject import reviews
from agent.inject.certificates.tls import Tls
from agent.inject.metrics import Metrics
from agent.inject.reviews import Request
from agent.inject.turns import BusyError, Turns
from agent.model.address import Address
from agent.runtime.component import Ready
from agent.runtime.errors import Permanent
from agent.runtime.latest import Latest

LARGEST = 3 * 1024 * 1024
"""Bytes of a review: as many as the API server takes from its own clients."""
TOO_LARGE = f"the body has more than {LARGEST} bytes"
SLOWEST = 10.0
"""Seconds that a body may take: the API server sends its own in one go, and by default waits no longer."""
GOODBYE = 5.0
"""Seconds that reviews under way have when the server stops."""

Answer = Callable[[Request], Awaitable[dict[str, Any]]]


class Server:
    """Answers ``POST /mutate``; ready when it listens. After ``leaving`` every answer ends its connection."""

    name = "server"
    stop_budget = GOODBYE + 1

    def __init__(
        self,
        listen: Address,
        tls: Tls,
        answer: Answer,
        *,
        serving: Latest[bool],
        leaving: Latest[bool],
        metrics: Metrics,
    ) -> None:
        """Writes ``serving``: whether it listens."""
        self._listen = listen
        self._tls = tls
        self._answer = answer
        self._serving = serving
        self._leaving = leaving
        self._metrics = metrics
        self._turns = Turns()

    async def run(self, ready: Ready) -> None:
        """Serve until cancelled; raises Permanent for an address that can't be had."""
        app = web.Application()
        app.router.add_post("/mutate", self.mutate)
        app.on_response_prepare.append(self._prepare)
        # The API server keeps connections open: each new one costs a handshake.
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=300.0, shutdown_timeout=GOODBYE)
        await runner.setup()
        try:
            await self._bind(runner)
            self._serving.set(True)
            ready()
            await asyncio.Event().wait()
        finally:
            self._serving.set(False)
            await runner.cleanup()

    async def mutate(self, request: web.Request) -> web.Response:
        """200 with a review for whatever can be answered by its uid; else why not, as one line."""
        with self._metrics.duration.time():
            if request.content_type != "application/json":
                return self._malformed(415, "the content type is not application/json")
            if (request.content_length or 0) > LARGEST:
                return self._malformed(413, TOO_LARGE)
            try:
                async with self._turns.of(request.content_length):
                    return await self._answered(request)
            except BusyError as error:
                self._metrics.reviews.labels("busy").inc()
                return web.Response(status=503, text=f"{error}\n")

    async def _answered(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(SLOWEST):
                asked = reviews.read(await _body(request))
        except reviews.UnanswerableError as error:
            return self._malformed(400, str(error))
        except TimeoutError:
            return self._malformed(408, f"the body did not come within {SLOWEST:g} s")
        except _TooLargeError:
            return self._malformed(413, TOO_LARGE)
        answer = msgspec.json.encode(await self._answer(asked))
        return web.Response(body=answer, content_type="application/json")

    def _malformed(self, status: int, text: str) -> web.Response:
        self._metrics.reviews.labels("malformed").inc()
        return web.Response(status=status, text=f"{text}\n")

    async def _prepare(self, _: web.Request, response: web.StreamResponse) -> None:
        if self._leaving.value:
            response.force_close()
            response.headers["Connection"] = "close"

    async def _bind(self, runner: web.AppRunner) -> None:
        site = web.TCPSite(
            runner, self._listen.host, self._listen.port,
            ssl_context=self._tls.context, backlog=1024, reuse_address=True,
        )  # fmt: skip
        try:
            await site.start()
        except OSError as error:
            reason = error.strerror or str(error)
            text = f"listening on {self._listen} (webhook.listen) failed: {reason}; free it or set webhook.listen"
            raise Permanent(text) from error


class _TooLargeError(Exception):
    """The body has more bytes than are taken."""


async def _body(request: web.Request) -> bytearray:
    """The whole body. Not ``request.read()``: that keeps it as long as the connection has no other request."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > LARGEST:
            raise _TooLargeError
    return body


class Leaving:
    """The last component and so the first to stop: not ready, then a while in which others go elsewhere."""

    name = "leaving"

    def __init__(self, leaving: Latest[bool], spread: float) -> None:
        """``spread`` in seconds: what it takes until no API server opens a new connection to us."""
        self._leaving = leaving
        self._spread = spread
        self.stop_budget = spread + 1

    async def run(self, ready: Ready) -> None:
        """Wait for the end and then a while longer."""
        ready()
        try:
            await asyncio.Event().wait()
        finally:
            self._leaving.set(True)
            await asyncio.sleep(self._spread)
