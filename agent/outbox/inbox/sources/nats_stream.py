"""The messages of one consumer of JetStream, pulled and acknowledged.

Sources: NATS documentation, "Consumers" (MSG.NEXT, acknowledgement types, status messages), ADR-13 (pull subscribe
internals); nats-server, server/consumer.go (processInboundAcks, updateAcks).
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from agent.outbox.inbox.message import VALUE, Parcel, placed
from agent.outbox.inbox.sources.nats_api import reason_of, translated
from agent.runtime.errors import Transient

EXPIRES = 20.0
"""Seconds for which a request for messages stands; another follows it."""
HEARTBEAT = 3.0
"""Seconds between two signs of life while there is nothing."""
CLOSING = 2.0
"""Seconds that the server may take to confirm what was acknowledged, at the end."""
_SECOND = 1_000_000_000


class Pull:
    """See ``sources.Stream``."""

    def __init__(self, client: Client, stream: str, name: str, held: int) -> None:
        self._client = client
        self._stream = stream
        self._name = name
        self._batch = held
        self._inbox = client.new_inbox()
        self._came: list[Parcel] = []
        self._open: dict[int, str] = {}
        self._told = ""
        self._wanted = 0
        self._woken = asyncio.Event()
        self._gone = ""
        self._lost = asyncio.Event()

    async def begin(self, lost: asyncio.Event) -> None:
        """Ask for the first messages."""
        self._lost = lost
        await self._client.subscribe(self._inbox, cb=self._took, pending_bytes_limit=1 << 31)
        await self._ask()

    async def fetch(self) -> Sequence[Parcel]:
        """See ``sources.Stream.fetch``."""
        doing = f"reading the stream {self._stream} of NATS"
        while not self._came:
            if self._gone or self._lost.is_set():
                raise Transient(f"{doing}: {self._gone or 'the connection is gone'}")
            self._woken.clear()
            try:
                async with asyncio.timeout(3 * HEARTBEAT):
                    await _first(self._woken.wait(), self._lost.wait())
            except TimeoutError:
                raise Transient(f"{doing}: no sign of life for {3 * HEARTBEAT:g} s") from None
            if self._wanted <= 0 and not self._gone:
                with translated(doing):
                    await self._ask()
        came, self._came = self._came, []
        return came

    async def done(self, parcel: Parcel) -> None:
        """See ``sources.Stream.done``."""
        await self._tell(parcel, b"+ACK")

    async def dead(self, parcel: Parcel) -> None:
        """See ``sources.Stream.dead``."""
        await self._tell(parcel, b"+TERM")

    async def keep(self, parcels: Sequence[Parcel]) -> None:
        """See ``sources.Stream.keep``."""
        for parcel in parcels:
            reply = self._open.get(parcel.number)
            if reply is not None:
                await self._say(reply, b"+WPI")

    async def settled(self) -> None:
        """Wait until the server has worked off what was acknowledged; what it does not confirm in time comes again.

        A PING overtakes what the library has not written yet, and its answer overtakes the queue in which the server
        keeps a consumer's acknowledgements. So the last of them is given once more, which changes nothing, with an
        answer wanted: that comes in its turn. The request for messages stands meanwhile; by it others see that the
        partition is not free.
        """
        if self._told and not self._lost.is_set():
            confirmed = self._client.request(self._told, b"+ACK", timeout=CLOSING)
            await _first(confirmed, self._lost.wait())

    async def _tell(self, parcel: Parcel, word: bytes) -> None:
        reply = self._open.pop(parcel.number, None)
        if reply is not None:
            self._told = reply
            await self._say(reply, word)

    async def _say(self, reply: str, word: bytes) -> None:
        try:
            await self._client.publish(reply, word)
        except (nats.errors.Error, OSError) as error:
            self._end(reason_of(error))

    async def _ask(self) -> None:
        self._wanted = self._batch
        asked = {
            "batch": self._batch,
            "expires": int(EXPIRES * _SECOND),
            "idle_heartbeat": int(HEARTBEAT * _SECOND),
        }
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}", msgspec.json.encode(asked), self._inbox
        )

    async def _took(self, msg: Msg) -> None:
        headers = {name.lower(): str(value) for name, value in (msg.headers or {}).items()}
        status = headers.get("status", "")
        if status and not msg.reply.startswith("$JS.ACK."):
            self._status(status, headers.get("description", ""))
        else:
            self._hand(msg, headers)
        self._woken.set()

    def _status(self, status: str, words: str) -> None:
        if status == "100":
            return
        if status in ("404", "408") or (status == "409" and "batch completed" in words.lower()):
            self._wanted = 0
            return
        said = "".join(each if each.isprintable() else "?" for each in words)[:100]
        self._end(f"the server says {status[:3]} {said}")

    def _hand(self, msg: Msg, headers: dict[str, str]) -> None:
        try:
            number = int(msg.metadata.sequence.stream)
        except (nats.errors.Error, ValueError, TypeError):
            return
        self._wanted -= 1
        known = number in self._open
        self._open[number] = msg.reply
        if (
            not known
        ):  # else it took longer than the server waits: the copy in hand goes on under the new reply
            self._came.append(
                Parcel(
                    number,
                    msg.subject,
                    headers,
                    msg.data,
                    f"nats/{self._stream}",
                    _token(number, headers, msg),
                )
            )

    def _end(self, reason: str) -> None:
        self._gone = self._gone or reason
        self._woken.set()


async def _first(*works: Coroutine[Any, Any, object]) -> None:
    """Until one of them has ended, in whatever way; the others are given up."""
    tasks = [asyncio.create_task(each) for each in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _token(number: int, headers: dict[str, str], msg: Msg) -> str:
    given = headers.get("nats-msg-id", "")
    return given if given and VALUE.fullmatch(given) else placed(str(number), msg.data)
