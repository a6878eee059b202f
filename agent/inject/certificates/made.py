"""The certificate made here: one CA in a Secret for all replicas, trusted by our own webhook configuration.

All replicas do the same, and the first one to write wins: a Secret is created if it is absent, and replaced only as it
was read. A serving certificate is each replica's own; its key never leaves the process.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog

from agent.inject.certificates import authorities, bundle, making
from agent.inject.certificates.authorities import Authorities
from agent.inject.certificates.making import Pair, Span
from agent.inject.certificates.state import State
from agent.inject.certificates.tls import Tls
from agent.inject.cluster import errors
from agent.inject.cluster.client import Client, Object
from agent.inject.cluster.kinds import CONFIGURATIONS, SECRETS
from agent.inject.metrics import Metrics
from agent.runtime.backoff import Backoff
from agent.runtime.component import Ready
from agent.runtime.errors import PillionError
from agent.runtime.health import Health
from agent.runtime.latest import Latest

T = TypeVar("T")
log = structlog.get_logger(__name__)

LOOK = 30.0
"""Seconds after which all is looked at again when nothing happens; less where certificates live shorter."""
RETRY = (1.0, LOOK)
"""Seconds of the first and the longest delay after a question that brought no good answer."""
PAUSE = 0.5
"""Seconds between two writes at least: another program that writes what it likes better is not to be raced."""


@dataclass(frozen=True)
class Names:
    """What the objects are called."""

    secret: str
    namespace: str
    configuration: str


@dataclass(frozen=True)
class Lives:
    """How long a CA and a serving certificate are valid; each is replaced at half of it."""

    authority: timedelta
    serving: timedelta


@dataclass(frozen=True)
class _Serving:
    """The certificate in use."""

    pair: Pair
    span: Span
    hosts: tuple[str, ...]
    by: bytes
    """The CA that signed it."""


class Made:
    """Keeps Secret, webhook configuration and TLS context as they should be; ready with the first certificate.

    ``secrets`` and ``configurations`` are the cells of mirrors that hold our Secret and our configuration, if any.
    """

    name = "certificates"
    stop_budget = 2.0

    def __init__(
        self,
        client: Client,
        names: Names,
        lives: Lives,
        *,
        secrets: Latest[Mapping[str, Object] | None],
        configurations: Latest[Mapping[str, Object] | None],
        tls: Tls,
        state: Latest[State],
        health: Health,
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._names = names
        self._lives = lives
        self._secrets = secrets
        self._configurations = configurations
        self._tls = tls
        self._state = state
        self._health = health
        self._metrics = metrics
        self._now = now
        self._held: Authorities | None = None
        self._serving: _Serving | None = None
        self._trusted: tuple[bytes, datetime] | None = None
        self._answered = True
        """Whether the API server did all that the last turn asked for."""

    async def run(self, ready: Ready) -> None:
        """Look at every change, soon after a failure, and now and then, for ever."""
        backoff = Backoff(*RETRY)
        look = min(LOOK, self._lives.authority.total_seconds() / 16, self._lives.serving.total_seconds() / 8)
        while True:
            before = self._secrets.version, self._configurations.version
            await self.turn()
            if self._tls.loaded:
                ready()
            await asyncio.sleep(PAUSE)
            if self._answered:
                backoff.reset()
            await self._change(before, look if self._answered else min(look, backoff.next()))

    async def _change(self, before: tuple[int, int], within: float) -> None:
        """Wait for another Secret or configuration than those of before, or for a while."""
        waits = [
            asyncio.create_task(cell.changed(since), name="certificates.change")
            for cell, since in zip((self._secrets, self._configurations), before, strict=True)
        ]
        try:
            await asyncio.wait(waits, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def turn(self) -> None:
        """Make each thing right that is not, and tell what can't be made right from here; raises nothing.

        What one question does not answer is no reason to leave the rest undone: a certificate is renewed without the
        API server.
        """
        problems: list[str] = []
        self._answered = True
        configuration = self._configuration(problems)
        self._look(configuration)
        held = await self._try(self._authorities(), problems) or self._held
        if held is not None and configuration is not None:
            await self._try(self._trust(configuration, held), problems)
            if self._trusted or self._serving is None or self._serving.by == held.current.certificate:
                self._serve(held, configuration.hosts)
        self._tell("; ".join(problems))

    async def _try(self, asked: Awaitable[T], problems: list[str]) -> T | None:
        try:
            return await asked
        except errors.Conflict:
            problems.append("another replica was faster")  # its change is on the way to us
        except PillionError as error:
            self._answered = False
            problems.append(str(error))
            self._metrics.failures.labels("certificates").inc()
            log.warning("certificates.failed", error=str(error))
        return None

    def _configuration(self, problems: list[str]) -> bundle.Configuration | None:
        """Our webhook configuration as it stands in the cluster."""
        name = self._names.configuration
        found = (self._configurations.value or {}).get(name)
        if found is None:
            problems.append(f"there is no MutatingWebhookConfiguration {name}; the chart makes it")
            return None
        try:
            return bundle.read(found)
        except ValueError as error:
            problems.append(f"the MutatingWebhookConfiguration {name} {error}")
            return None

    def _look(self, configuration: bundle.Configuration | None) -> None:
        """Take back that the bundle is in the configuration, where it is not any more."""
        if configuration is None or (self._trusted and not bundle.holds(configuration, self._trusted[0])):
            self._trusted = None

    async def _authorities(self) -> Authorities:
        """The CAs as the Secret holds them, after what was due was written."""
        now = self._now()
        secret = (self._secrets.value or {}).get(self._names.secret)
        held = self._read(secret)
        known = self._trusted and held and self._trusted[0] == held.bundle
        trusted = now - self._trusted[1] if self._trusted and known else timedelta()
        # A Secret that somebody deleted is made again with the CAs that are in use: nothing fails meanwhile.
        wanted = authorities.due(held or self._held, now, self._lives.authority, trusted, making.authority)
        if wanted != held:
            await self._write(secret, wanted)
        self._held = wanted
        return wanted

    def _read(self, secret: Object | None) -> Authorities | None:
        if secret is None:
            return None
        try:
            return authorities.read(secret)
        except ValueError as error:
            log.warning("certificates.secret_unusable", secret=self._names.secret, problem=str(error))
            return None

    async def _write(self, secret: Object | None, wanted: Authorities) -> None:
        data: dict[str, Any] = {"type": "Opaque", "data": authorities.written(wanted)}
        if secret is None:
            metadata = {"name": self._names.secret, "namespace": self._names.namespace}
            body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **data}
            try:
                await self._client.create(SECRETS, body, self._names.namespace)
            except errors.Taken as error:
                raise errors.Conflict(str(error)) from error
        else:
            await self._client.replace(SECRETS, {**secret, **data})
        self._metrics.issued.labels("ca").inc()
        log.info("certificates.authorities_written", secret=self._names.secret, created=secret is None)

    async def _trust(self, configuration: bundle.Configuration, held: Authorities) -> None:
        """Put the bundle where it is missing, and note since when it is there."""
        if not bundle.holds(configuration, held.bundle):
            self._trusted = None
            operations = bundle.repair(configuration, held.bundle)
            await self._client.patch(CONFIGURATIONS, self._names.configuration, operations)
            self._metrics.repairs.inc()
            log.info("certificates.bundle_written", configuration=self._names.configuration)
        if self._trusted is None or self._trusted[0] != held.bundle:
            self._trusted = held.bundle, self._now()

    def _serve(self, held: Authorities, hosts: tuple[str, ...]) -> None:
        """Use a new certificate where the present one is old, of another CA, or for other names."""
        now, old = self._now(), self._serving
        if (
            old is not None
            and old.by == held.current.certificate
            and old.hosts == hosts
            and not old.span.half_gone(now)
        ):
            return
        pair = making.serving(held.current, hosts, now, self._lives.serving)
        self._tls.load(pair)
        found = making.span(pair.certificate)
        self._serving = _Serving(pair, found, hosts, held.current.certificate)
        self._metrics.expires.set(found.ends.timestamp())
        self._metrics.issued.labels("serving").inc()
        log.info("certificates.serving", hosts=list(hosts), ends=found.ends.isoformat())

    def _tell(self, problem: str) -> None:
        found = self._serving.span if self._serving else None
        # What a failed question does not know it does not take back: the last word about the bundle stays.
        trusted = self._trusted is not None
        self._state.set(State(found, trusted, problem))
        if problem:
            self._health.degraded(problem)
        else:
            self._health.ok()
