"""The agent's side of the socket to its supervisor, which holds Envoy and the service.

The messages are described in ``agent.supervise``. Children outlive the agent: an agent that comes back asks
for the same children and adopts what runs.
"""

import asyncio
import itertools
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import structlog

from agent.runtime.errors import Permanent, Transient
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

ANSWER_TIME = 10.0
"""Seconds within which a supervisor answers what it need not wait for."""


@dataclass(frozen=True)
class ChildState:
    """What the supervisor says of one child."""

    pid: int | None = None
    """Process id; None while it does not run."""
    running: bool = False
    status: int | None = None
    """How it ended last: the exit code, or minus the signal's number; None while it never did."""
    restarts: int = 0
    """How often the supervisor started it again after it ended by itself."""
    asked: bool = False
    """Whether its last end was asked for."""


class Supervisor:
    """A connection to the supervisor over the inherited socket ``fd``; used as an async context manager.

    Requests raise Permanent when the supervisor refuses them, saying why, and Transient when it does not
    answer or is gone. A supervisor that is gone took its children with it: the kernel ends this process as
    well.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.states: Latest[Mapping[str, ChildState]] = Latest({})
        """The children's states by name, kept by the supervisor's events."""
        self.leaving = Latest(False)
        """True once the whole instance leaves: the supervisor stops or is gone, or the service ended."""

    async def __aenter__(self) -> Self:
        os.set_inheritable(self._fd, False)
        connection = socket.socket(fileno=self._fd)
        self._reader, self._writer = await asyncio.open_unix_connection(sock=connection, limit=1 << 20)
        self._task = asyncio.create_task(self._read(), name="supervisor.reader")
        try:
            await self._ask("state")
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def start(
        self, child: str, argv: Sequence[str], env: Mapping[str, str], restart: bool = False
    ) -> ChildState:
        """Start ``child`` unless it runs; a running one is adopted as it is.

        With ``restart`` the supervisor starts it again, with growing delays, whenever it ends by itself,
        always with the ``argv`` and ``env`` that were given last.
        """
        return await self._verb("start", child, argv=list(argv), env=dict(env), restart=restart)

    async def signal(self, child: str, signum: int) -> ChildState:
        """Send a signal to a running child; Permanent when it does not run."""
        return await self._verb("signal", child, signum=int(signum))

    async def stop(self, child: str, timeout: float) -> ChildState:
        """SIGTERM, SIGKILL after ``timeout`` seconds; returns when it ended, at once if it does not run."""
        return await self._verb("stop", child, wait=timeout, timeout=timeout)

    async def restart(
        self, child: str, argv: Sequence[str], env: Mapping[str, str], timeout: float
    ) -> ChildState:
        """Stop within ``timeout`` seconds and start anew; the exit in between ends nothing."""
        return await self._verb(
            "restart", child, wait=timeout, argv=list(argv), env=dict(env), timeout=timeout
        )

    async def ready(self) -> None:
        """Tell the supervisor that the agent works: from now on exit code 2 is a crash like others."""
        await self._ask("ready")

    async def serving(self) -> None:
        """Tell the supervisor that the service can be called; systemd hears of it from there."""
        await self._ask("serving")

    async def refresh(self) -> None:
        """Bring ``states`` and ``leaving`` up to date if the supervisor still answers; raises nothing.

        To be called on SIGTERM before the components are stopped: the supervisor says that the instance
        leaves before it sends the signal, but the signal may be seen first.
        """
        try:
            await self._ask("state")
        except Transient as error:
            log.warning("supervisor.silent", error=str(error))

    async def _verb(self, verb: str, child: str, wait: float = 0.0, **fields: object) -> ChildState:
        answer = await self._ask(verb, wait, child=child, **fields)
        return _state(answer["state"])

    async def _ask(self, verb: str, wait: float = 0.0, **fields: object) -> dict[str, Any]:
        doing = " ".join(["supervisor:", verb, str(fields.get("child", ""))]).strip()
        if self._task.done():
            raise Transient(f"{doing}: the supervisor is gone")
        number = next(self._ids)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(json.dumps({"id": number, "do": verb, **fields}).encode() + b"\n")
            async with asyncio.timeout(wait + ANSWER_TIME):
                await self._writer.drain()
                answer: dict[str, Any] = await answered
        except TimeoutError as error:
            raise Transient(f"{doing}: no answer within {wait + ANSWER_TIME:g} s") from error
        except OSError as error:
            raise Transient(f"{doing}: {error}") from error
        finally:
            self._waiting.pop(number, None)
        if "error" in answer:
            raise Permanent(f"{doing}: {answer['error']}")
        return answer

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(json.loads(line))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.exception("supervisor.unreadable", error=f"{type(error).__name__}: {error}")
        finally:
            self.leaving.set(True)
            for answered in self._waiting.values():
                if not answered.done():
                    answered.set_exception(Transient("the supervisor is gone"))

    def _take(self, message: dict[str, Any]) -> None:
        """Note the states that every message carries, then hand an answer to whoever waits for it."""
        if "states" in message:
            self.states.set({name: _state(fields) for name, fields in message["states"].items()})
        if message.get("leaving"):
            self.leaving.set(True)
        answered = self._waiting.get(message.get("id", 0))
        if answered is not None and not answered.done():
            answered.set_result(message)

    async def _close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass  # the supervisor was gone already


def _state(fields: dict[str, Any]) -> ChildState:
    return ChildState(
        fields["pid"], fields["pid"] is not None, fields["status"], fields["restarts"], fields["asked"]
    )
