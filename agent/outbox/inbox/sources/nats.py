"""NATS JetStream: a pull consumer of explicit acknowledgement for each time that a partition is held.

Whoever takes a partition makes a consumer of its own that begins where the former one's acknowledgements end, and
deletes that one. So the messages that the former owner had open come again at once and in their order, and that owner,
should it wake, gets and acknowledges nothing any more. The position itself stays in the broker.

Sources: NATS documentation, "JetStream wire API reference" and "Consumers" (CONSUMER.CREATE).
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import nats.errors
from nats.aio.client import Client

from agent.config.sections.inbox import InboxBroker
from agent.outbox.brokers import tls
from agent.outbox.inbox.shares import Place
from agent.outbox.inbox.sources import Stream
from agent.outbox.inbox.sources.nats_api import TIMEOUT, Api, Consumer, reason_of, translated
from agent.outbox.inbox.sources.nats_stream import Pull
from agent.runtime.errors import Permanent, Transient

_SECOND = 1_000_000_000


def make(settings: InboxBroker, read: Callable[[], str], consumer: str, lease: float) -> "JetStream":
    """The source of these settings."""
    return JetStream(settings, read, consumer, lease)


class JetStream:
    """The streams of a server or cluster; which one has a topic is asked."""

    name = "nats"

    def __init__(self, settings: InboxBroker, read: Callable[[], str], consumer: str, lease: float) -> None:
        """``read`` is asked whenever a connection is made, so that changed credentials count; ``lease`` is for how
        many seconds an owner without a sign of life is still waited for where nobody else guards the partition."""
        self._settings = settings
        self._read = read
        self._consumer = consumer
        self._lease = lease
        self.keep_every = settings.ack_wait / 3

    @asynccontextmanager
    async def open(self, place: Place, *, alone: bool) -> AsyncIterator[Stream]:
        """See ``sources.Source.open``: a spread topic is topics of its own."""
        topic = place.name
        lost = asyncio.Event()
        client = await self._connect(lost)
        try:
            with translated(f"reading {topic} from NATS"):
                api = Api(client)
                stream = await self._take(api, topic, alone=alone)
                await stream.begin(lost)
            try:
                yield stream
            finally:
                await stream.settled()
        finally:
            await _abandon(client)

    async def _connect(self, lost: asyncio.Event) -> Client:
        async def gone() -> None:
            lost.set()

        async def quiet(_error: Exception) -> None:
            return

        servers = [each.strip() for each in self._read().split(",")]
        reasons = []
        for server in servers:
            # Read anew, so that a replaced file of CAs counts; a plain connection has no use for it.
            secured = (
                tls.context(self._settings.ca_cert, "inbox.broker.ca_cert")
                if server.startswith("tls:")
                else None
            )
            client = _Client()
            try:
                async with asyncio.timeout(TIMEOUT):
                    await client.connect(
                        server, name="pillion inbox", allow_reconnect=False, connect_timeout=int(TIMEOUT),
                        tls=secured, error_cb=quiet, closed_cb=gone, disconnected_cb=gone, ping_interval=5,
                    )  # fmt: skip
                    return client
            except (nats.errors.Error, OSError, TimeoutError) as error:
                await _abandon(client)
                reasons.append(reason_of(error))
            except ValueError:
                # Its words may hold what stands before the host, and with it the password.
                reasons.append("its URL can't be read")
        raise Transient(f"connecting to NATS (inbox.broker.url): {'; '.join(reasons)}")

    async def _take(self, api: "Api", topic: str, *, alone: bool) -> "Pull":
        found = (await api.ask("STREAM.NAMES", {"subject": topic})).streams or []
        if not found:
            raise Permanent(f"reading {topic} from NATS: no stream has this subject; create it first")
        stream = found[0]
        base = f"pillion-{self._consumer}-{hashlib.sha256(topic.encode()).hexdigest()[:10]}-"
        former = await api.consumers(stream, base)
        if alone and former:
            await self._until_idle(api, stream, base, topic)
            former = await api.consumers(stream, base)
        name = f"{base}{1 + max((_turn(each.name) for each in former), default=0):08d}-{secrets.token_hex(4)}"
        retention = (await api.ask(f"STREAM.INFO.{stream}", None)).config or {}
        config = self._config(name, topic, former, queue=retention.get("retention") == "workqueue")
        if (
            "opt_start_seq" not in config and former
        ):  # a work queue has one consumer, and keeps what is left to do
            await api.delete(stream, former)
        await api.ask(
            f"CONSUMER.CREATE.{stream}.{name}.{topic}",
            {"stream_name": stream, "config": config, "action": "create"},
        )
        await self._alone(api, stream, base, name, yields=alone)
        return Pull(api.client, stream, name, self._settings.held)

    async def _alone(self, api: "Api", stream: str, base: str, name: str, *, yields: bool) -> None:
        """Delete the others' consumers; with ``yields`` the own one where another began at the same time, and later."""
        others = [each for each in await api.consumers(stream, base) if each.name != name]
        if yields and any(each.name > name for each in others):
            await api.delete(stream, [Consumer(name)])
            raise Transient(
                f"reading the stream {stream} from NATS: another instance took it", self._lease / 2
            )
        await api.delete(stream, others)

    def _config(self, name: str, topic: str, former: Sequence[Consumer], *, queue: bool) -> dict[str, Any]:
        config: dict[str, Any] = {
            "name": name,
            "durable_name": name,
            "filter_subject": topic,
            "ack_policy": "explicit",
            "ack_wait": int(self._settings.ack_wait * _SECOND),
            "max_ack_pending": self._settings.held,
            "max_deliver": -1,
            "max_waiting": 16,
            "deliver_policy": "all",
        }
        if queue:
            return config
        if former:
            floor = max(max(each.ack_floor.stream_seq, each.config.opt_start_seq - 1) for each in former)
            return {**config, "deliver_policy": "by_start_sequence", "opt_start_seq": floor + 1}
        return {**config, "deliver_policy": self._settings.start}

    async def _until_idle(self, api: "Api", stream: str, base: str, topic: str) -> None:
        # Who has it always has a request for messages standing; the server forgets that with the connection.
        looks = 4
        for _ in range(looks):
            if any(each.num_waiting for each in await api.consumers(stream, base)):
                raise Transient(f"reading {topic} from NATS: another instance has it", self._lease / 2)
            await asyncio.sleep(self._lease / looks / 2)


async def _abandon(client: Client) -> None:
    """Close it; one that hangs or is broken is left at that."""
    with suppress(nats.errors.Error, OSError, TimeoutError):
        async with asyncio.timeout(2):
            await client.close()


class _Client(Client):
    """The library's client, which by itself speaks TLS only to a server that insists on it, whatever the URL says: a
    server that merely offers it, or whoever stands between, would get the password in the clear."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and "tls" in self.options:
            if not (info.get("tls_required") or info.get("tls_available")):
                raise nats.errors.Error("the server has no TLS, which the URL asks for")
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)


def _turn(name: str) -> int:
    found = re.fullmatch(r".*-(\d{8,18})-[0-9a-f]{8}", name)
    return int(found[1]) if found else 0
