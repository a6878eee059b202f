"""The ADS server: the socket, the stream, and what keeps ``Delivery`` informed."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import structlog
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from grpclib.const import Cardinality, Handler
from grpclib.exceptions import StreamTerminatedError
from grpclib.server import Stream

from agent.model.revision import Refusal, Revision
from agent.proxy.metrics import Metrics
from agent.proxy.snapshot import Snapshot
from agent.proxy.xds.delivery import Delivery, Request, Response
from agent.proxy.xds.encode import Encoded, Encoder
from agent.proxy.xds.kinds import KINDS, Kind
from agent.proxy.xds.socket import Servable, SocketServer
from agent.proxy.xds.store import Good, SnapshotStore
from agent.runtime.backoff import Backoff
from agent.runtime.component import Ready
from agent.runtime.health import Health
from agent.runtime.latest import Latest
from agent.runtime.threads import to_its_end

log = structlog.get_logger(__name__)

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
STEPS = 50
"""Resources encoded before the loop breathes: about 20 ms of the largest."""
KEEP_INTERVAL = 1.0
"""Seconds between two writes of the kept snapshot, at most; an agent that is killed then knows less than Envoy has."""
KEEP_PART = 0.05
"""Part of the time that writing it may take, within that."""
SLOW = 20.0
"""Seconds after which an answer is overdue; Envoy itself waits 15 s for a warming cluster's endpoints."""
PATIENCE = 15.0
"""Seconds that Envoy may say nothing of clusters."""
TICK = 1.0
"""Seconds between two looks at the clock."""

RETRY = 1.0
"""Seconds after which a refusal is tried again for the first time, at most."""

AdsStream = Stream[discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse]


class AdsServer:
    """Serves aggregated xDS to one Envoy on a unix socket, and says in ``revision`` what came of it.

    The newest stream counts: a second one is the same Envoy after a restart, or a mistake that ends the
    first. Until there is a plan, an Envoy gets what ``store`` kept, so that an agent's restart never empties
    it. What Envoy refused is tried again, after ``RETRY`` seconds first and in the end every ``retry_interval``:
    the port of a listener may have been in use for a moment. ``group`` may use the socket too.
    """

    name = "xds"
    stop_budget = 2.0

    def __init__(
        self,
        path: Path,
        snapshots: Latest[Snapshot | None],
        revision: Latest[Revision],
        store: SnapshotStore,
        *,
        health: Health,
        metrics: Metrics,
        group: int | None = None,
        retry_interval: float = 30.0,
        patience: float = PATIENCE,
        beside: Sequence[Servable] = (),
    ) -> None:
        """``beside`` is served on the same socket."""
        self._beside = beside
        self._path = path
        self._group = group
        self._snapshots = snapshots
        self._revision = revision
        self._store = store
        self._health = health
        self._metrics = metrics
        self._retry_interval = retry_interval
        self._patience = patience
        self._silent_since: float | None = None
        self._encoder = Encoder()
        self._delivery = Delivery()
        self._stream: object | None = None
        self._wake = asyncio.Event()
        self._kept: Latest[Good | None] = Latest(None)
        self._known: dict[str, Snapshot] = {}
        self._offered: tuple[str, float] = ("", 0.0)
        self._sent_at = 0.0

    async def run(self, ready: Ready) -> None:
        """Serve until cancelled; ready when the socket listens. Raises Permanent when it can't."""
        await self._restore()
        server = SocketServer([self, *self._beside], self._path, self._group)
        await server.listen()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(), name="xds: snapshots")
                tasks.create_task(self._keep(), name="xds: store")
                tasks.create_task(self._retry(), name="xds: retries")
                tasks.create_task(self._tick(), name="xds: ticks")
                self._publish()
                ready()
        finally:
            await server.stop()

    def __mapping__(self) -> Mapping[str, Handler]:
        """The one method, by its path."""
        types = discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse
        return {METHOD: Handler(self._serve, Cardinality.STREAM_STREAM, *types)}

    async def _restore(self) -> None:
        good = await asyncio.to_thread(self._store.load)
        if good is None:
            return
        encoded = await self._encode(good.snapshot)
        if isinstance(encoded, Encoded):
            self._delivery = Delivery(encoded, good.refused)
            self._known[encoded.hash] = good.snapshot
        else:
            log.warning("snapshot.outdated", refusals=[refusal.message for refusal in encoded])

    async def _follow(self) -> None:
        async for snapshot in self._snapshots.values():
            if snapshot is None:
                continue
            encoded = await self._encode(snapshot)
            if isinstance(encoded, Encoded):
                self._known[encoded.hash] = snapshot
                self._offered = (encoded.hash, time.monotonic())
                self._delivery.offer(encoded)
                self._known = {name: one for name, one in self._known.items() if name in self._in_use()}
            else:
                self._delivery.reject(encoded)
                for refusal in encoded:
                    self._note(refusal)
            self._publish()

    def _in_use(self) -> set[str]:
        good = self._delivery.good
        return {self._delivery.revision.sent, good.hash if good else ""}

    async def _encode(self, snapshot: Snapshot) -> Encoded | list[Refusal]:
        for number, result in enumerate(self._encoder.steps(snapshot)):
            if result is not None:
                return result
            if number % STEPS == 0:
                await asyncio.sleep(0)
        raise AssertionError("the encoder ended without a result")

    async def _serve(self, stream: AdsStream) -> None:
        """One stream from its beginning to its end."""
        self._stream = stream
        self._silent_since = None
        self._metrics.streams.inc()
        self._delivery.connect()
        self._publish()
        log.info("envoy.connected")
        reader = asyncio.create_task(self._read(stream), name="xds: requests")
        try:
            await self._write(stream, reader)
            if reader.done():
                reader.result()
        except (StreamTerminatedError, ConnectionError, DecodeError) as error:
            log.info("envoy.broken", error=f"{type(error).__name__}: {error}")
        finally:
            reader.cancel()
            await asyncio.wait({reader})
            self._left(stream)

    async def _write(self, stream: AdsStream, reader: asyncio.Task[None]) -> None:
        """Send what there is to send until the stream ends or a newer one takes its place."""
        while self._stream is stream and not reader.done():
            while self._stream is stream and (response := self._delivery.next()) is not None:
                await self._send(stream, response)
            self._wake.clear()
            waiter = asyncio.create_task(self._wake.wait(), name="xds: wake")
            try:
                await asyncio.wait({reader, waiter}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiter.cancel()

    async def _send(self, stream: AdsStream, response: Response) -> None:
        self._sent_at = time.monotonic()
        if response.kind is Kind.CLUSTER:
            self._silent_since = self._sent_at
        self._metrics.responses.labels(response.kind.value).inc()
        await stream.send_message(
            discovery_pb2.DiscoveryResponse(
                version_info=response.version,
                type_url=response.kind.url,
                nonce=response.nonce,
                resources=[any_pb2.Any.FromString(content) for content in response.contents.values()],
            )
        )

    async def _read(self, stream: AdsStream) -> None:
        async for message in stream:
            kind = KINDS.get(message.type_url)
            if self._stream is not stream:
                return
            if kind is None:
                log.warning("xds.unknown", type=message.type_url[:200])
                continue
            error = message.error_detail.message.strip()[:2000] if message.HasField("error_detail") else None
            names = tuple(message.resource_names)
            request = Request(kind, message.response_nonce, names, error, message.version_info)
            refusal = self._delivery.heard(request)
            if refusal is not None:
                self._note(refusal)
            self._publish()

    def _left(self, stream: AdsStream) -> None:
        if self._stream is stream:
            self._stream = None
            self._delivery.disconnect()
            self._publish()
            log.info("envoy.disconnected")

    def _note(self, refusal: Refusal) -> None:
        self._metrics.refusals.labels(refusal.type).inc()
        log.warning("envoy.refused", type=refusal.type, snapshot=refusal.snapshot, message=refusal.message)

    def _publish(self) -> None:
        """Tell everyone what became of the last event."""
        if not self._delivery.silent:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = time.monotonic()
        revision = self._delivery.revision
        if revision.in_force != self._revision.value.in_force and revision.in_force == self._offered[0]:
            self._metrics.delivery.observe(time.monotonic() - self._offered[1])
        self._revision.set(revision)
        good = self._delivery.good
        snapshot = self._known.get(good.hash) if good is not None else None
        if snapshot is not None:
            self._kept.set(Good(snapshot, self._delivery.refused))
        self._metrics.connected.set(revision.connected)
        self._metrics.up_to_date.set(revision.serving and revision.in_force == revision.sent)
        self._report(revision)
        self._wake.set()

    def _report(self, revision: Revision) -> None:
        if revision.refusals:
            first = revision.refusals[0]
            stays = f"{revision.in_force} stays in force" if revision.in_force else "nothing is in force yet"
            self._health.degraded(f"Envoy's {first.type} was refused: {first.message}; {stays}.")
        elif not revision.connected:
            self._health.degraded("No Envoy is connected.")
        elif not revision.in_force and not revision.sent:
            self._health.degraded("There is no configuration yet to give to Envoy.")
        elif self._delivery.waiting and time.monotonic() - self._sent_at > SLOW:
            kinds = ", ".join(self._delivery.waiting)
            self._health.degraded(f"Envoy has not answered for more than {SLOW:g} s to: {kinds}.")
        else:
            self._health.ok()

    async def _keep(self) -> None:
        """Write what is good to disk, the newest only, and the last when this ends."""
        written = None
        try:
            async for good in self._kept.values():
                began = time.monotonic()
                await self._save(good)
                written = good
                await asyncio.sleep(min((time.monotonic() - began) / KEEP_PART, KEEP_INTERVAL))
        finally:
            if self._kept.value is not written:
                await self._save(self._kept.value)

    async def _save(self, good: Good | None) -> None:
        if good is None:
            return
        try:
            await to_its_end(partial(self._store.save, good))
        except OSError as error:
            log.warning("snapshot.unwritten", error=str(error))

    async def _retry(self) -> None:
        backoff, refused = Backoff(min(RETRY, self._retry_interval), self._retry_interval), ""
        while True:
            now = await self._revision.until(lambda revision: revision.connected and bool(revision.refusals))
            if now.sent != refused:
                backoff.reset()
                refused = now.sent
            await asyncio.sleep(backoff.next())
            if self._delivery.revision.refusals:
                self._delivery.retry()
                self._publish()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(min(TICK, self._patience / 2))
            since = self._silent_since
            if since is not None and time.monotonic() - since > self._patience:
                self._silent_since = None
                refusal = self._delivery.lose_patience(self._patience)
                if refusal is not None:
                    self._note(refusal)
                self._publish()
            elif self._delivery.waiting:
                self._publish()
