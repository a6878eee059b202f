"""Why no JetStream stream took an event: the stream is asked, which tells one without a leader from one that is not
there, or that has other subjects. One question for all events that come back meanwhile.

Source: nats-server, ``server/errors.json``; "JetStream wire API" (STREAM.INFO, of which the leader alone answers).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from agent.runtime.errors import PillionError

NOT_FOUND = 10059


class _Error(msgspec.Struct):
    code: int = 0
    err_code: int = 0


class _Cluster(msgspec.Struct):
    leader: str = ""


class _Info(msgspec.Struct):
    config: dict[str, Any] | None = None
    cluster: _Cluster | None = None
    error: _Error | None = None


_INFO = msgspec.json.Decoder(_Info)


def why(stream: str, answer: bytes) -> str:
    """The reason, from what was answered to the question for ``stream``; nothing: nobody did."""
    without = f"the stream {stream} has no leader just now, or JetStream is not available; it is sent again"
    try:
        said = _INFO.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return without
    if said.error is not None and said.error.err_code == NOT_FOUND:
        return f"there is no stream {stream}; it is sent again"
    if said.config is None or (said.cluster is not None and not said.cluster.leader):
        return without
    return (
        f"no stream of the server takes its topic, though there is {stream}; do its subjects cover the topic? It is "
        "sent again"
    )


class Untaken:
    """The events of one link that no stream took."""

    def __init__(
        self, stream: str, ask: Callable[[], Awaitable[bytes]], tell: Callable[[int, str], None]
    ) -> None:
        """``ask`` asks the stream; ``tell`` is told of each event why it was not taken."""
        self._stream = stream
        self._ask = ask
        self._tell = tell
        self._numbers: list[int] = []
        self._asking: asyncio.Task[None] | None = None

    def add(self, number: int) -> None:
        """This event came back."""
        self._numbers.append(number)
        if self._asking is None:
            self._asking = asyncio.create_task(self._find(), name="nats asks for a stream")

    async def close(self) -> None:
        """Tell nothing more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _find(self) -> None:
        try:
            answer = await self._ask()
        except (PillionError, OSError, TimeoutError):
            answer = b""
        self._asking = None
        numbers, self._numbers = self._numbers, []
        reason = why(self._stream, answer)
        for number in numbers:
            self._tell(number, reason)
