"""HTTP. An event is acknowledged when the receiver has answered with a status of 2xx.

What the receiver does before it answers is its own: it should store the event first.
Sources: RFC 9110 (status codes, Retry-After); CloudEvents 1.0, HTTP protocol binding.
"""

import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from agent.config.secret import Secret
from agent.config.sections.outbox import Broker as Settings
from agent.outbox.brokers import Link, Outcomes, signing, tls
from agent.outbox.brokers.exchange import Answer, wait
from agent.outbox.brokers.pool import Pool
from agent.outbox.brokers.requests import Encoder, Endpoint
from agent.outbox.events import Event, RefusedError
from agent.runtime.errors import Misconfigured, Permanent, Problem, Transient

LARGEST = 16 * 1048576
"""Bytes of a body. What a receiver takes is not known before it answers 413."""
STREAK = 20
"""So many events in a row that were not taken, and none that was: it is the receiver then, not the events."""

UNKNOWN = "can't be kept with HTTP: what the receiver does before it answers is not to be seen"

_GONE = 410
"""It is where the event goes that is gone."""
_REFUSED = frozenset({400, _GONE, 413, 422})
_AWAY = frozenset({429, 502, 503, 504})
"""As an answer to a request that asks for nothing: the receiver is not there."""


def make(settings: Settings, service: str, *, durable: bool = False) -> "Http":  # noqa: ARG001 - all are made alike
    """The broker of these settings; raises Misconfigured."""
    problems = []
    if durable:
        problems.append(Problem("outbox.require_durable", UNKNOWN))
    try:
        Endpoint.parse(settings.url)
    except ValueError as error:
        problems.append(Problem("outbox.broker.url", str(error)))
    try:
        signing.secrets(settings.secret)
    except ValueError as error:
        problems.append(Problem("outbox.broker.secret", str(error)))
    if problems:
        raise Misconfigured(problems)
    return Http(
        Secret.of(settings, "outbox.broker.url").read,
        Secret.of(settings, "outbox.broker.secret").read,
        connections=settings.connections,
        timeout=settings.timeout,
        secured=partial(tls.context, settings.ca_cert),
    )


class Http:
    """A receiver of webhooks."""

    name = "http"

    def __init__(
        self,
        url: Callable[[], str],
        secret: Callable[[], str],
        *,
        connections: int,
        timeout: float,
        secured: Callable[[], ssl.SSLContext],
    ) -> None:
        """``url``, ``secret`` and ``secured`` are asked whenever a link is made, so that what changed
        counts; ``secret`` once a second besides."""
        self._url = url
        self._secret = secret
        self._connections = connections
        self._timeout = timeout
        self._secured = secured
        self._rests = 0.0

    @asynccontextmanager
    async def link(self, outcomes: Outcomes, topics: frozenset[str]) -> AsyncIterator[Link]:  # noqa: ARG002
        """See ``brokers.Broker.link``."""
        endpoint = self._endpoint()
        doing = f"connecting to the receiver at {endpoint}"
        left = self._rests - time.monotonic()
        if left > 0:
            raise Transient(f"{doing}: it asked to be left alone for another {left:.0f} s", delay=left)
        context = self._secured() if endpoint.tls else None
        pool = Pool(endpoint.host, endpoint.port, context, self._connections, self._timeout)
        link = Posts(outcomes, Encoder(endpoint), pool, self._secret, self._rest)
        link.warnings = warnings(endpoint)
        try:
            await self._look(doing, link)
            pool.start()
            yield link
        finally:
            await pool.close()

    def _endpoint(self) -> Endpoint:
        doing = "connecting to the receiver"
        try:
            signing.secrets(self._secret())
        except ValueError as error:
            raise Transient(f"{doing}: outbox.broker.secret {error}") from None
        try:
            return Endpoint.parse(self._url())
        except ValueError as error:
            raise Transient(f"{doing}: outbox.broker.url {error}") from None

    def _rest(self, delay: float) -> None:
        self._rests = time.monotonic() + delay

    async def _look(self, doing: str, link: "Posts") -> None:
        answer = await link.probe()
        if answer.status == 401:
            raise Permanent(f"{doing}: it does not take the user and password of outbox.broker.url (401)")
        if answer.status in _AWAY:
            self._rest(wait(answer.retry_after, time.time()))
            raise Transient(f"{doing}: it answers {answer.status}")


class Posts:
    """A link to one receiver."""

    largest = LARGEST

    def __init__(
        self,
        outcomes: Outcomes,
        encoder: Encoder,
        pool: Pool,
        secret: Callable[[], str],
        rest: Callable[[float], None],
    ) -> None:
        """``rest`` is told for how many seconds the receiver asked to be left alone when the link is lost."""
        self.warnings: tuple[str, ...] = ()
        self._outcomes = outcomes
        self._encoder = encoder
        self._pool = pool
        self._secret = secret
        self._rest = rest
        self._secrets: tuple[bytes, ...] = ()
        self._looked = -1
        self._streak = 0
        pool.answered, pool.failed, pool.lost = self._answered, self._failed, outcomes.lost

    def send(self, number: int, event: Event) -> None:
        """See ``brokers.Link.send``."""
        if len(event.body) > self.largest:
            raise RefusedError(f"its body of {len(event.body)} bytes is larger than {self.largest}")
        now = int(time.time())
        if now != self._looked:
            self._looked = now
            self._sign()
        self._pool.send(number, *self._encoder.request(event, self._secrets, now))

    def _sign(self) -> None:
        try:
            self._secrets = signing.secrets(self._secret())
        except (ValueError, Transient):
            # A file that is being replaced; what was good until now still is.
            return

    async def probe(self) -> Answer:
        """Ask the receiver for nothing; raises Transient or Permanent."""
        return await self._pool.probe(self._encoder.probe)

    async def answers(self) -> bool:
        """See ``brokers.Link.answers``."""
        try:
            return (await self.probe()).status not in _AWAY
        except (Transient, Permanent):
            return False

    def _answered(self, number: int, answer: Answer) -> None:
        status = answer.status
        if 200 <= status < 300:
            self._streak = 0
            self._outcomes.acknowledged(number)
        elif status in _REFUSED:
            self._streak = 0
            self._outcomes.refused(number, f"the receiver answers {status}", own=status != _GONE)
        elif status == 401:
            self._pool.fail("the receiver answers 401: see user and password in outbox.broker.url")
        else:
            moved = ", and redirects are not followed" if 300 <= status < 400 else ""
            reason = f"the receiver answers {status}{moved}"
            self._failed(number, reason, wait(answer.retry_after, time.time()))

    def _failed(self, number: int, reason: str, delay: float = 0.0) -> None:
        self._streak += 1
        if self._streak < STREAK:
            self._outcomes.later(number, reason, delay)
        else:
            self._rest(delay)
            self._pool.fail(f"{reason}, to {STREAK} events in a row")


def warnings(endpoint: Endpoint) -> tuple[str, ...]:
    """What makes the receiver's answer worth less than it sounds."""
    if endpoint.tls or endpoint.local:
        return ()
    return (
        "the receiver is spoken to without TLS: who sits between can read events and forge answers; use https://",
    )
