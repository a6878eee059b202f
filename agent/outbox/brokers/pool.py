"""Connections to one HTTP server: as many requests at once as there are connections, the others wait here."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from agent.outbox.brokers.connection import opening
from agent.outbox.brokers.exchange import Answer, Exchange
from agent.runtime.errors import Permanent, Transient


@dataclass(slots=True)
class _Request:
    number: int
    data: bytes
    held: bytes
    since: float = 0.0
    again: bool = False
    told: bool = False
    """Its answer is there, and the rest of the body is waited for."""


def _unheard(*_: object) -> None:
    """Told nobody."""


class Pool:
    """Sends requests and tells what became of each: answered, failed, or everything lost at once."""

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext | None, most: int, timeout: float
    ) -> None:
        """``context``: for TLS; ``most`` connections; ``timeout`` in seconds for a connection or an answer."""
        self.answered: Callable[[int, Answer], None] = _unheard
        self.failed: Callable[[int, str], None] = _unheard
        self.lost: Callable[[str], None] = _unheard
        self._host, self._port, self._context = host, port, context
        self._most = most
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Request] = deque()
        self._idle: list[Exchange] = []
        self._busy: dict[Exchange, _Request] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def start(self) -> None:
        """Watch over answers that don't come, until ``close``."""
        self._timer = self._loop.call_later(self._timeout / 4, self._watch)

    def send(self, number: int, data: bytes, held: bytes = b"") -> None:
        """Send a request as soon as a connection is free, see ``Exchange.ask``. It may be sent twice."""
        self._queue.append(_Request(number, data, held))
        self._dispatch()

    def fail(self, reason: str) -> None:
        """Give up everything, and say so."""
        if not self._closed:
            self._stop()
            self.lost(reason)

    async def close(self) -> None:
        """End all connections; nothing more is told."""
        self._stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def probe(self, data: bytes) -> Answer:
        """The answer to a request on a connection of its own; raises Transient or Permanent."""
        answer: asyncio.Future[Answer] = self._loop.create_future()

        def ended(_: Exchange, reason: str) -> None:
            if not answer.done():
                answer.set_exception(Transient(f"asking the receiver at {self._host}:{self._port}: {reason}"))

        def answered(_: Exchange, said: Answer) -> None:
            if not answer.done():
                answer.set_result(said)

        exchange = await self._connect(lambda: Exchange(answered, _unheard, ended))
        try:
            exchange.ask(data)
            async with asyncio.timeout(self._timeout):
                return await answer
        except TimeoutError:
            raise Transient(
                f"asking the receiver at {self._host}:{self._port}: no answer within {self._timeout:g} s"
            ) from None
        finally:
            exchange.close()

    async def _connect(self, make: Callable[[], Exchange]) -> Exchange:
        doing = f"connecting to the receiver at {self._host}:{self._port}"
        try:
            async with asyncio.timeout(self._timeout):
                with opening(doing):
                    _, exchange = await self._loop.create_connection(
                        make, self._host, self._port, ssl=self._context
                    )
        except TimeoutError:
            raise Transient(f"{doing}: no answer within {self._timeout:g} s") from None
        return exchange

    def _dispatch(self) -> None:
        while self._queue and self._idle and not self._closed:
            self._ask(self._idle.pop(), self._queue.popleft())
        room = self._most - len(self._busy) - len(self._idle) - len(self._tasks)
        for _ in range(min(room, len(self._queue) - len(self._tasks)) if not self._closed else 0):
            task = self._loop.create_task(self._open(), name="outbox connects to the receiver")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        try:
            exchange = await self._connect(lambda: Exchange(self._said, self._free, self._ended))
        except (Transient, Permanent) as error:
            self.fail(str(error))
            return
        if self._closed:
            exchange.close()
        elif self._queue:
            self._ask(exchange, self._queue.popleft())
        else:
            self._idle.append(exchange)

    def _ask(self, exchange: Exchange, request: _Request) -> None:
        request.since = self._loop.time()
        self._busy[exchange] = request
        exchange.ask(request.data, request.held)

    def _said(self, exchange: Exchange, answer: Answer) -> None:
        request = self._busy.get(exchange)
        self._heard = self._loop.time()
        if request is not None:
            request.told = True
            self.answered(request.number, answer)

    def _free(self, exchange: Exchange) -> None:
        self._busy.pop(exchange, None)
        if self._closed:
            exchange.close()
        elif self._queue:
            self._ask(exchange, self._queue.popleft())
        else:
            self._idle.append(exchange)

    def _ended(self, exchange: Exchange, reason: str) -> None:
        request = self._busy.pop(exchange, None)
        if exchange in self._idle:
            self._idle.remove(exchange)
        if self._closed:
            return
        if request is not None and not request.told:
            self._unanswered(exchange, request, reason)
        self._dispatch()

    def _unanswered(self, exchange: Exchange, request: _Request, reason: str) -> None:
        # A server may end a connection that is kept just when a request is on its way: that tells nothing about
        # the request.
        if exchange.served and not exchange.heard and not request.again:
            request.again = True
            self._queue.appendleft(request)
        else:
            self.failed(request.number, f"{reason} before an answer")

    def _watch(self) -> None:
        now = self._loop.time()
        # Where nothing answers at all it is not for one request to say so, unless nobody else did.
        patience = self._timeout * (1 if now - self._heard < self._timeout / 2 else 2)
        for exchange, request in list(self._busy.items()):
            if now - request.since > patience:
                self._drop(exchange)
                if not request.told:
                    self.failed(request.number, f"no answer within {self._timeout:g} s")
        self._dispatch()
        if not self._closed:
            self._timer = self._loop.call_later(self._timeout / 4, self._watch)

    def _drop(self, exchange: Exchange) -> None:
        exchange.close()
        self._busy.pop(exchange, None)

    def _stop(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for exchange in [*self._busy, *self._idle]:
            exchange.close()
        self._busy.clear()
        self._idle.clear()
        self._queue.clear()
