"""Apache Kafka. An event is acknowledged when all replicas that are in sync have it.

Order and what comes late. The producer is idempotent: within one link it repeats a send by itself without a
duplicate and without a later event overtaking. A link that is given up purges its queue, so that nothing is
sent from then on; what was on the network may still be stored, after events of the next link. That is a
duplicate of what the next link sends first, since a relay sends again everything without an answer before
anything new of the same key: first occurrences stay in order, as with a relay that was replaced. A
transaction would not change it for consumers that read uncommitted events, and costs each commit a round trip
to the coordinator; its fencing is what the lease does already.

Sources: CloudEvents 1.0, Kafka protocol binding (binary content mode); librdkafka, INTRODUCTION.md
(idempotent producer) and CONFIGURATION.md; Kafka protocol guide, error codes.
"""

import asyncio
import re
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote

from confluent_kafka import KafkaError, KafkaException, Producer

from agent.config.secret import Secret
from agent.config.sections.outbox import Broker as Settings
from agent.outbox.brokers import Link, Outcomes, tls
from agent.outbox.brokers.kafka_headers import Headers
from agent.outbox.brokers.kafka_topics import LIMIT, Looked, Topics, refusal, words
from agent.outbox.events import Event, RefusedError
from agent.runtime.errors import Misconfigured, Permanent, PillionError, Problem, Transient

_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_SCHEMES = {"kafka": False, "kafka+ssl": True}
_FORM = "kafka://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…][?sasl=SCRAM-SHA-512], or kafka+ssl:// with TLS"

_REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "it may not be written to this topic",
    KafkaError.TOPIC_EXCEPTION: "its topic is no name that Kafka takes",
}
"""What is refused for sure, by Kafka's error: the topic, whatever the event."""
_BLAMED = (
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_RECORD,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError.POLICY_VIOLATION,
    KafkaError._INVALID_DIFFERENT_RECORD,  # noqa: SLF001 - the library's own errors are named so
)
"""Kafka refuses a whole batch for one record in it: each is sent again alone, to see which."""
_NOT_ITS_OWN = (KafkaError.INVALID_TIMESTAMP, KafkaError.POLICY_VIOLATION)
"""Of these: the time is that of sending, the policy is the server's."""


def make(settings: Settings, service: str, *, durable: bool = False) -> "Kafka":  # noqa: ARG001 - tables name topics
    """The broker of these settings; raises Misconfigured."""
    try:
        access(settings.url)
    except ValueError as error:
        raise Misconfigured([Problem("outbox.broker.url", str(error), _FORM)]) from None
    url = Secret.of(settings, "outbox.broker.url").read
    return Kafka(url, settings.ca_cert, create=settings.create, timeout=settings.timeout, durable=durable)


def access(url: str) -> dict[str, str]:
    """How librdkafka gets to the cluster of the URL; raises ValueError without the URL."""
    scheme, _, rest = url.strip().partition("://")
    rest, _, query = rest.partition("?")
    credentials, _, servers = rest.rstrip("/").rpartition("@")
    if scheme.lower() not in _SCHEMES or not all(_SERVER.fullmatch(each) for each in servers.split(",")):
        raise ValueError("is not kafka://HOST:PORT or kafka+ssl://HOST:PORT")
    user, _, password = (unquote(each) for each in credentials.partition(":"))
    given = dict(parse_qsl(query))
    mechanism = given.pop("sasl", "PLAIN").upper()
    if given or mechanism not in _MECHANISMS:
        raise ValueError(f"has a query that is not sasl=, with one of {', '.join(_MECHANISMS)}")
    secured = "SSL" if _SCHEMES[scheme.lower()] else "PLAINTEXT"
    config = {"bootstrap.servers": servers, "security.protocol": f"SASL_{secured}" if user else secured}
    if user:
        config |= {"sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": password}
    return config


class Kafka:
    """A cluster."""

    name = "kafka"

    def __init__(
        self, url: Callable[[], str], ca_cert: str, *, create: bool, timeout: float, durable: bool = False
    ) -> None:
        """``url`` is asked whenever a link is made, so that changed credentials count. ``durable``: topics that may
        lose what they acknowledged are refused."""
        self._durable = durable
        self._url = url
        self._ca_cert = ca_cert
        self._create = create
        self._timeout = timeout

    @asynccontextmanager
    async def link(self, outcomes: Outcomes, topics: frozenset[str]) -> AsyncIterator[Link]:
        """See ``brokers.Broker.link``."""
        named = sorted(each for each in topics if _TOPIC.fullmatch(each))
        config = await asyncio.to_thread(self._config)
        known = await asyncio.to_thread(
            partial(Topics, config, self._timeout, create=self._create, durable=self._durable)
        )
        try:
            looked = await asyncio.to_thread(known.look, named)
            missing = [name for name in named if name not in looked.limits]
            if missing:
                raise Permanent(f"looking at Kafka's topic {missing[0]}: {MISSING}")
            link = KafkaLink(config, known, looked, outcomes, timeout=self._timeout)
            try:
                yield link
            finally:
                await link.close()
        finally:
            # In a thread: the library's end may take a moment.
            await asyncio.shield(asyncio.to_thread(known.close))

    def _config(self) -> dict[str, Any]:
        try:
            config: dict[str, Any] = dict(access(self._url()))
        except ValueError as error:
            raise Transient(f"connecting to Kafka: outbox.broker.url {error}") from None
        if self._ca_cert:
            tls.context(self._ca_cert)
            config["ssl.ca.location"] = self._ca_cert
        patience = max(int(self._timeout * 1000), 10)
        return {
            **config,
            "client.id": "pillion",
            "log_level": 0,
            "socket.timeout.ms": patience,
            "socket.connection.setup.timeout.ms": max(patience, 1000),
            "reconnect.backoff.max.ms": 1000,
        }


MISSING = "there is none; create it, or set outbox.broker.create"


class KafkaLink:
    """A producer of its own, whose answers a thread waits for."""

    HEADROOM = 16384
    """Bytes left for key and headers below what a topic takes."""
    CLOSING = 2.0
    """Seconds that the producer's end is waited for; it sends nothing more in any case."""

    def __init__(
        self,
        config: Mapping[str, Any],
        known: Topics,
        looked: Looked,
        outcomes: Outcomes,
        *,
        timeout: float,
    ) -> None:
        self.warnings = looked.warnings
        self._limits = dict(looked.limits)
        limits = list(looked.limits.values()) or [LIMIT]
        self.largest = max(max(limits) - self.HEADROOM, max(limits) // 2)
        self._known, self._outcomes = known, outcomes
        self._timeout = timeout
        self._headers = Headers()
        self._loop = asyncio.get_running_loop()
        self._over = False
        self._flying: dict[int, Event] = {}
        self._suspects: deque[tuple[int, Event]] = deque()
        self._alone: int | None = None
        self._held: deque[tuple[int, Event]] = deque()
        self._sought: dict[str, list[tuple[int, Event]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: deque[tuple[int, KafkaError | None]] = deque()
        self._closing = threading.Event()
        self._producer = Producer({**config, **_producing(limits, timeout), "error_cb": self._error})
        self._thread = threading.Thread(
            target=_answers,
            args=(self._producer, self._closing, self._wake),
            name="kafka answers",
            daemon=True,
        )
        self._thread.start()

    def send(self, number: int, event: Event) -> None:
        """See ``brokers.Link.send``."""
        topic = event.topic
        if not _TOPIC.fullmatch(topic):
            raise RefusedError(
                f"its topic {topic!r} is no name that Kafka takes: a to z, 0 to 9, '.', '_' and '-'"
            )
        if self._over:
            return
        if topic in self._limits:
            self._go(number, event)
        elif topic in self._sought:
            self._sought[topic].append((number, event))
        else:
            self._sought[topic] = [(number, event)]
            task = self._loop.create_task(self._seek(topic), name=f"kafka topic {topic}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def answers(self) -> bool:
        """See ``brokers.Link.answers``. Never while something is in flight: its outcome will be told, so that
        nothing is passed by."""
        if self._over or self._flying or self._sought or self._held or self._suspects:
            return False
        return await asyncio.to_thread(self._known.answers)

    async def close(self) -> None:
        """Send nothing more, tell nothing more."""
        self._over = True
        self._closing.set()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        # The thread has the last reference: the library's end may take a moment, which is the thread's.
        del self._producer
        await asyncio.shield(asyncio.to_thread(self._thread.join, self.CLOSING))

    async def _seek(self, topic: str) -> None:
        """A topic that was not known when the link was made."""
        # One that was made a moment ago is not known everywhere; refused is for good, so look again.
        until = self._loop.time() + self._timeout / 2
        try:
            while topic not in (looked := await asyncio.to_thread(self._known.look, [topic])).limits:
                if self._loop.time() > until:
                    break
                await asyncio.sleep(self._timeout / 20)
        except PillionError as error:
            self._lose(str(error))
            return
        self._limits |= looked.limits
        for number, event in self._sought.pop(topic):
            if self._over:
                return
            if topic not in self._limits:
                self._outcomes.refused(number, f"Kafka's topic {topic}: {MISSING}", own=False)
                continue
            self._try(number, event)

    def _try(self, number: int, event: Event) -> None:
        try:
            self._go(number, event)
        except RefusedError as error:
            self._outcomes.refused(number, str(error))

    def _go(self, number: int, event: Event) -> None:
        if self._suspects or self._alone is not None:
            self._held.append((number, event))
            return
        head, size = self._headers.of(event)
        key = event.key.encode() if event.key is not None else None
        size += len(event.body) + len(key or b"")
        if size > self._limits[event.topic]:
            raise RefusedError(
                f"it has {size} bytes with its headers, more than its topic's max.message.bytes"
            )
        try:
            self._producer.produce(
                event.topic, event.body, key, headers=head, on_delivery=partial(self._delivered, number)
            )
        except BufferError:
            self._loop.call_soon(self._lose, "the queue to Kafka is full")
            return
        except KafkaException as error:
            if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise RefusedError("it is larger with its headers than Kafka takes") from None
            self._loop.call_soon(self._lose, words(error.args[0]))
            return
        self._flying[number] = event

    def _delivered(self, number: int, error: KafkaError | None, _message: object) -> None:
        # In the thread.
        self._told.append((number, error))

    def _error(self, error: KafkaError) -> None:
        # In the thread. What passes is the library's to try again; what does not would wait for its timeout.
        refused = refusal(error)
        if refused is not None or error.fatal():
            self._loop.call_soon_threadsafe(self._lose, str(refused or words(error)))

    def _wake(self) -> None:
        if self._told:
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        for _ in range(len(self._told)):
            if self._over:
                return
            number, error = self._told.popleft()
            event = self._flying.pop(number)
            if error is None:
                self._outcomes.acknowledged(number)
            else:
                self._failed(number, event, error)
            if number == self._alone:
                self._alone = None
        if (self._suspects or self._held) and not self._flying and not self._over:
            self._next()

    def _failed(self, number: int, event: Event, error: KafkaError) -> None:
        code = error.code()
        if code in _REFUSED:
            self._outcomes.refused(number, f"Kafka says: {_REFUSED[code]} ({words(error)})", own=False)
        elif code in _BLAMED and number == self._alone:
            self._outcomes.refused(number, f"Kafka says: {words(error)}", own=code not in _NOT_ITS_OWN)
        elif code in _BLAMED:
            self._suspects.append((number, event))
        else:
            self._lose(f"Kafka took an event of the topic {event.topic} not: {words(error)}")

    def _next(self) -> None:
        """Nothing is in flight: one suspect goes alone, or all that was held meanwhile."""
        waiting, self._suspects = self._suspects, deque()
        while waiting:
            suspect = waiting.popleft()
            self._try(*suspect)
            if suspect[0] in self._flying:
                self._suspects, self._alone = waiting, suspect[0]
                return
        held, self._held = self._held, deque()
        for number, event in held:
            self._try(number, event)

    def _lose(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._outcomes.lost(reason)


def _producing(limits: list[int], timeout: float) -> dict[str, Any]:
    patience = max(int(timeout * 1000), 1)
    return {
        "enable.idempotence": True,
        "acks": "all",
        # All tries of an event together: after it the link is lost, and nothing is tried behind our back.
        "message.timeout.ms": patience,
        "request.timeout.ms": patience,
        "topic.metadata.propagation.max.ms": patience,
        "linger.ms": 1,
        # As Kafka's own clients spread keys, and without a key at random.
        "partitioner": "murmur2_random",
        "message.max.bytes": min(max(*limits, 1000), 1000000000),
        # A batch counts as one message to the topic that takes least.
        "batch.size": min(*limits, 262144),
    }


def _answers(producer: Producer, closing: threading.Event, wake: Callable[[], None]) -> None:
    """The thread: serves the producer until closing, then empties it."""
    while not closing.is_set():
        producer.poll(0.1)
        wake()
    producer.purge(blocking=False)
