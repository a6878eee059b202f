"""A consumer of Kafka in a thread of its own: it polls, pauses what has enough open messages, and commits offsets."""

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from agent.outbox.brokers.kafka_topics import words
from agent.outbox.inbox.message import Parcel, headers, placed
from agent.outbox.inbox.shares import Place
from agent.outbox.inbox.sources.basket import Basket
from agent.outbox.inbox.sources.kafka_group import members
from agent.outbox.inbox.sources.offsets import Offsets
from agent.runtime.errors import Permanent, PillionError, Transient

PATIENCE = 5.0
"""Seconds that the cluster may take for an answer."""
POLL = 0.2
COMMIT = 0.5
"""Seconds between two commits, where something was done."""
REFRESH = 3600.0
"""Seconds after which an offset is committed anew though nothing was done: Kafka forgets those that are old."""
LOOK = 30.0
"""Seconds between two looks for partitions that the topic was given meanwhile."""
JOINING = 20.0
"""Seconds that a group may take to give its first member what it has."""
_AT_ONCE = 100
_MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)  # noqa: SLF001 - the library's own errors
_PARTITIONS = 32
"""Bits of a parcel's number that hold its partition."""


@dataclass(frozen=True)
class Errand:
    """What is to be read, and how."""

    place: Place
    group: str
    held: int
    """Messages of a partition of Kafka that may be open."""
    start: Literal["all", "new"]
    lease: float
    alone: bool
    """The group says who reads."""


class Reader:
    """One consumer. What it reads goes to the basket, and so does the reason when it ends."""

    CLOSING = 8.0
    """Seconds that the thread's end is waited for."""

    def __init__(
        self, access: Mapping[str, Any], config: Mapping[str, Any], errand: Errand, basket: Basket
    ) -> None:
        """``access`` is how the cluster is reached, ``config`` what a consumer needs besides, both as the library wants
        it."""
        self._errand = errand
        self._basket = basket
        self._doing = f"reading {errand.place.name} from Kafka"
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._access = access
        self._config = {**access, **config, "error_cb": self._told, "on_commit": self._committed}
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._offsets: dict[int, Offsets] = {}
        self._sent: dict[int, int] = {}
        self._paused: set[int] = set()
        self._error: PillionError | None = None
        self._said = ""
        self._count = 0
        self._thread = threading.Thread(target=self._run, name=f"kafka {errand.place.name}", daemon=True)

    async def begin(self) -> None:
        """Start, and wait until it reads; raises Transient or Permanent."""
        self._thread.start()
        await self._ready

    def done(self, number: int) -> None:
        """The message is done with."""
        with self._lock:
            offsets = self._offsets.get(number & (1 << _PARTITIONS) - 1)
            if offsets is not None:
                offsets.done(number >> _PARTITIONS)

    def close(self) -> None:
        """Read nothing more; blocks until what is done with is committed, or a few seconds."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(self.CLOSING)

    def _run(self) -> None:
        try:
            consumer = Consumer(self._config)
        except KafkaException as error:
            self._end(Permanent(f"{self._doing}: {words(error.args[0])}"))
            return
        try:
            self._work(consumer)
        except PillionError as error:
            self._end(error)
        except KafkaException as error:
            with suppress(KafkaException):
                consumer.poll(0)  # why, where that came last
            self._end(self._error or self._translated(error.args[0]))
        finally:
            self._end(Transient(f"{self._doing}: its thread ended"))
            self._close(consumer)

    def _work(self, consumer: Consumer) -> None:
        mine = self._partitions(consumer)
        if self._errand.alone:
            self._join(consumer, mine)
        else:
            self._assign(consumer, mine)
        self._tell(self._begun)
        looked = committed = time.monotonic()
        refreshed = committed
        while not self._closing.is_set():
            self._poll(consumer)
            now = time.monotonic()
            if now - committed >= COMMIT:
                committed = now
                if now - refreshed >= REFRESH:
                    self._sent.clear()
                    refreshed = now
                self._commit(consumer, asynchronous=True)
            if now - looked >= LOOK:
                looked = now
                self._look(consumer)
            if self._error is not None:
                raise self._error

    def _begun(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _partitions(self, consumer: Consumer) -> list[int]:
        """Those of Kafka that the place is."""
        place = self._errand.place
        topic = consumer.list_topics(place.topic, timeout=PATIENCE).topics[place.topic]
        if topic.error is not None and topic.error.code() in _MISSING:
            raise Permanent(f"{self._doing}: there is no topic {place.topic}; create it first")
        if topic.error is not None:
            raise Transient(f"{self._doing}: {words(topic.error)}")
        self._count = len(topic.partitions)
        if place.partitions == 1:
            return sorted(topic.partitions)
        if self._count != place.partitions:
            raise Permanent(
                f"{self._doing}: the topic {place.topic} has {self._count} partitions and inbox.topics says "
                f"{place.partitions}; make them the same"
            )
        return [place.partition]

    def _look(self, consumer: Consumer) -> None:
        topic = self._errand.place.topic
        try:
            found = len(consumer.list_topics(topic, timeout=PATIENCE).topics[topic].partitions)
        except KafkaException:
            return  # polling tells what is wrong
        if found > self._count:
            raise Transient(f"{self._doing}: the topic has {found} partitions now, no longer {self._count}")

    def _assign(self, consumer: Consumer, partitions: Sequence[int]) -> None:
        """Read from where each was left."""
        places = self._starts(consumer, partitions)
        with self._lock:
            self._offsets = {each.partition: Offsets(each.offset) for each in places}
        self._sent, self._paused = {}, set()
        consumer.assign(places)
        # A start is committed, too: who comes next must not choose another one, and what is old is forgotten.
        self._commit(consumer, asynchronous=False)

    def _starts(self, consumer: Consumer, partitions: Sequence[int]) -> list[TopicPartition]:
        topic = self._errand.place.topic
        asked = [TopicPartition(topic, each) for each in partitions]
        known = consumer.committed(asked, timeout=PATIENCE)
        for each in known:
            if each.error is not None:
                raise KafkaException(each.error)
        # A partition that the topic was given later is read from its beginning.
        fresh = self._errand.start == "new" and all(each.offset < 0 for each in known)
        for each in known:
            if each.offset < 0:
                each.offset = consumer.get_watermark_offsets(each, timeout=PATIENCE)[1 if fresh else 0]
        return known

    def _join(self, consumer: Consumer, wanted: Sequence[int]) -> None:
        """Become the group's only member."""
        errand = self._errand
        # Those that come in the same moment all go, and come back one after the other.
        pause = errand.lease / 2 * (1 + secrets.randbelow(1000) / 1000)
        taken = Transient(f"{self._doing}: another instance has it", pause)
        if members(self._access, errand.group, PATIENCE):
            raise taken

        def assigned(consumer: Consumer, given: list[TopicPartition]) -> None:
            if sorted(each.partition for each in given) == list(wanted):
                self._assign(consumer, wanted)
            elif not self._closing.is_set():
                self._error = self._error or taken

        def revoked(consumer: Consumer, _given: list[TopicPartition]) -> None:
            if not self._closing.is_set():
                # What the service works on is done with first; then this connection ends and leaves the group.
                self._end(taken)
                self._closing.wait()
                self._last(consumer)

        consumer.subscribe([errand.place.topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
        until = time.monotonic() + JOINING
        while not self._offsets and not self._closing.is_set():
            self._poll(consumer)
            if self._error is not None:
                raise self._error
            if time.monotonic() > until:
                raise Transient(f"{self._doing}: the group {errand.group} gives no partition")

    def _poll(self, consumer: Consumer) -> None:
        room = self._throttle(consumer)
        first = consumer.poll(POLL)
        if first is None:
            return
        more = consumer.consume(min(room - 1, _AT_ONCE), 0) if room > 1 else []
        parcels = [self._parcel(each) for each in [first, *more]]
        came = [each for each in parcels if each is not None]
        if came:
            self._tell(lambda: self._basket.put(came))

    def _throttle(self, consumer: Consumer) -> int:
        """Pause what has enough open messages, and resume what has not any more; how many may surely come."""
        held = self._errand.held
        with self._lock:
            counts = {number: each.open for number, each in self._offsets.items()}
        full = {number for number, count in counts.items() if count >= held}
        roomy = {number for number in self._paused if counts[number] <= held // 2}
        topic = self._errand.place.topic
        if more := full - self._paused:
            consumer.pause([TopicPartition(topic, each) for each in more])
        if roomy:
            consumer.resume([TopicPartition(topic, each) for each in roomy])
        self._paused = (self._paused | full) - roomy
        return min(
            (held - count for number, count in counts.items() if number not in self._paused), default=0
        )

    def _parcel(self, message: Message) -> Parcel | None:
        error = message.error()
        if error is not None:
            raise self._translated(error)
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None:
            return None
        with self._lock:
            offsets = self._offsets.get(partition)
            if offsets is None or not offsets.came(offset):
                return None
        return parcel(message, partition, offset)

    def _commit(self, consumer: Consumer, *, asynchronous: bool) -> None:
        with self._lock:
            found = {number: each.position for number, each in self._offsets.items()}
        new = {number: offset for number, offset in found.items() if self._sent.get(number) != offset}
        if not new:
            return
        topic = self._errand.place.topic
        places = [TopicPartition(topic, number, offset) for number, offset in new.items()]
        self._sent |= new
        if asynchronous:
            consumer.commit(offsets=places, asynchronous=True)
            return
        for each in consumer.commit(offsets=places, asynchronous=False) or []:
            if each.error is not None:
                raise self._uncommitted(each.error)

    def _committed(self, error: KafkaError | None, _places: list[TopicPartition]) -> None:
        if error is not None and not self._closing.is_set():
            self._error = self._error or self._uncommitted(error)

    def _uncommitted(self, error: KafkaError) -> Transient:
        foreign = (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION)
        hint = "; the group must have no other members" if error.code() in foreign else ""
        return Transient(f"committing offsets of the group {self._errand.group}: {words(error)}{hint}")

    def _told(self, error: KafkaError) -> None:
        """What the library says of itself: most of it, it tries again by itself."""
        self._said = words(error)
        code = error.code()
        if code in (KafkaError._AUTHENTICATION, KafkaError._SSL):  # noqa: SLF001 - the library's own errors are named so
            where = "url" if code == KafkaError._AUTHENTICATION else "ca_cert"  # noqa: SLF001
            self._error = self._error or Permanent(f"{self._doing}: {self._said}; see inbox.broker.{where}")
        elif code == KafkaError._ALL_BROKERS_DOWN or error.fatal():  # noqa: SLF001
            self._error = self._error or Transient(f"{self._doing}: {self._said}; is it running?")

    def _translated(self, error: KafkaError) -> PillionError:
        denied = (
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.GROUP_AUTHORIZATION_FAILED,
            KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        )
        if error.code() in denied:
            return Permanent(f"{self._doing}: Kafka says: {words(error)}; allow Read of topic and group")
        away = f"; {self._said or 'is it running?'}" if error.code() < 0 else ""
        return Transient(f"{self._doing}: {words(error)}{away}")

    def _last(self, consumer: Consumer) -> None:
        """Commit what is done; what can't be comes again, and is known."""
        self._sent.clear()  # of what was sent last no answer may have come
        try:
            if self._error is None:
                self._commit(consumer, asynchronous=False)
        except (KafkaException, PillionError):
            return

    def _close(self, consumer: Consumer) -> None:
        # What the service works on may still be done with.
        self._closing.wait()
        self._last(consumer)
        consumer.close()

    def _end(self, error: PillionError) -> None:
        def end() -> None:
            if not self._ready.done():
                self._ready.set_exception(error)
            self._basket.end(error)

        self._tell(end)

    def _tell(self, what: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:
            return  # the loop is gone, and with it whoever would be told


def parcel(message: Message, partition: int, offset: int) -> Parcel:
    """A message as the inbox takes it; whatever is no CloudEvent's is left out."""
    attributes: dict[str, str] = {}
    content = ""
    for name, value in _pairs(message):
        text = _text(value)
        if text is not None and name.startswith("ce_"):
            attributes[name.removeprefix("ce_")] = text
        elif text is not None and name.lower() == "content-type":
            content = text
    key = message.key()
    if key is not None and "partitionkey" not in attributes:
        attributes["partitionkey"] = key.decode(errors="replace") if isinstance(key, bytes) else str(key)
    body = message.value() or b""
    topic = message.topic() or ""
    data = body if isinstance(body, bytes) else str(body).encode()
    number = offset << _PARTITIONS | partition
    token = placed(f"{partition}-{offset}", data)
    return Parcel(number, topic, headers(attributes, content), data, f"kafka/{topic}", token)


def _pairs(message: Message) -> list[tuple[str, object]]:
    # The library declares more forms than it gives.
    return [each for each in message.headers() or [] if isinstance(each, tuple)]


def _text(value: object) -> str | None:
    try:
        return value.decode() if isinstance(value, bytes) else value if isinstance(value, str) else None
    except UnicodeDecodeError:
        return None
