"""JetStream's requests for streams and consumers, and what its errors become.

Sources: NATS documentation, "JetStream wire API reference" (STREAM.NAMES, STREAM.INFO, CONSUMER.LIST, CONSUMER.DELETE).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client

from agent.runtime.errors import PillionError, Transient

TIMEOUT = 5.0
"""Seconds that the server may take for an answer."""


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Sequence(msgspec.Struct):
    stream_seq: int = 0


class _Config(msgspec.Struct):
    opt_start_seq: int = 0


class Consumer(msgspec.Struct):
    """One as the server tells of it."""

    name: str = ""
    config: _Config = msgspec.field(default_factory=_Config)
    ack_floor: _Sequence = msgspec.field(default_factory=_Sequence)
    num_waiting: int = 0


class _Answer(msgspec.Struct):
    error: _Error | None = None
    streams: list[str] | None = None
    consumers: list[Consumer] | None = None
    config: dict[str, Any] | None = None
    total: int = 0


_ANSWER = msgspec.json.Decoder(_Answer)


class Api:
    """JetStream's requests."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self, verb: str, body: object) -> _Answer:
        """One request; raises Transient with the server's refusal."""
        data = msgspec.json.encode(body) if body is not None else b""
        reply = await self.client.request(f"$JS.API.{verb}", data, timeout=TIMEOUT)
        doing = f"asking NATS ({verb.split('.', 2)[0].lower()}.{verb.split('.', 2)[1].lower()})"
        try:
            answer = _ANSWER.decode(reply.data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Transient(f"{doing}: the answer can't be read; is JetStream on?") from None
        if answer.error is not None:
            words = "".join(each if each.isprintable() else "?" for each in answer.error.description)[:200]
            raise Transient(f"{doing}: the server says: {words} ({answer.error.err_code})")
        return answer

    async def consumers(self, stream: str, base: str) -> list[Consumer]:
        """The consumers whose names begin so."""
        found: list[Consumer] = []
        seen = 0
        while True:
            answer = await self.ask(f"CONSUMER.LIST.{stream}", {"offset": seen})
            page = answer.consumers or []
            found += [each for each in page if each.name.startswith(base)]
            seen += len(page)
            if not page or seen >= answer.total:
                return found

    async def delete(self, stream: str, consumers: Sequence[Consumer]) -> None:
        """Delete them; one that is gone already is as wanted."""
        for each in consumers:
            with suppress(Transient):
                await self.ask(f"CONSUMER.DELETE.{stream}.{each.name}", None)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except PillionError:
        raise
    except (nats.errors.Error, OSError, TimeoutError, ValueError) as error:
        raise Transient(f"{doing}: {reason_of(error)}; is the server up, and JetStream on?") from error


def reason_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
