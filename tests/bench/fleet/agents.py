"""The agents: started a few at a time, ended together, and what they take of the machine."""

import asyncio
import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.demo import bound
from tests.acceptance import instance as acceptance
from tests.bench.fleet.envoy import Accepting
from tests.bench.fleet.relay import Relay
from tests.bench.footprint import cpu
from tests.waiting import until

STARTING = 3
"""Agents that start at the same time: each takes a core for a second."""
START = 120.0
"""Seconds that one may take to be registered and passing."""
REST = 120.0
"""Seconds within which all of them must have come to rest."""
SERVICES = 10
"""Services that they are instances of."""
ENDS_WITH_US = (sys.executable, "-I", "-S", bound.__file__, str(os.getpid()), "-")
"""What runs a command that ends with this process, also when that is killed."""


@dataclass(frozen=True)
class Member:
    """One agent with its way to Consul and what accepts its configuration."""

    instance: acceptance.Instance
    relay: Relay
    envoy: Accepting

    @property
    def agent(self) -> int:
        """The agent's process id."""
        return self.instance.children()["agent"]

    @property
    def processes(self) -> tuple[int, int]:
        """The supervisor's and the agent's."""
        assert self.instance.process is not None
        return self.instance.process.pid, self.agent


def settings(number: int, relay: Relay, upstreams: Sequence[str], port: int) -> dict[str, Any]:
    """Of one agent; ``port`` is where its service answers, which all of them share."""
    return {
        "service": {"name": f"s-{number % SERVICES}", "port": port},
        "registry": {"address": relay.url, "spread": 0},
        "proxy": {"mode": "external", "drain_time": 0},
        "upstreams": list(upstreams) if "*" not in upstreams else {"*": {}},
    }


@asynccontextmanager
async def running(
    folder: Path, count: int, consul: int, upstreams: Sequence[str]
) -> AsyncIterator[list[Member]]:
    """So many agents, registered and passing, at rest; ``consul`` is Consul's port. Raises AssertionError when one does
    not start within ``START`` seconds."""
    members: list[Member] = []
    limit = asyncio.Semaphore(STARTING)
    service = await asyncio.start_server(_hang_up, "127.0.0.1", 0)
    port = service.sockets[0].getsockname()[1]
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(service.close)
        stack.push_async_callback(_ended, members)
        tasks = await stack.enter_async_context(_followed())

        async def start(number: int) -> None:
            async with limit:
                relay = Relay(f"127.1.0.{number + 1}", consul)
                await relay.open()
                stack.callback(relay.close)
                own = settings(number, relay, upstreams, port)
                instance = acceptance.Instance(folder / f"{number:03}", own, prefix=ENDS_WITH_US)
                member = Member(instance, relay, Accepting(instance.folder / "state" / "xds.sock"))
                members.append(member)
                instance.start()
                await until(member.envoy.expected, within=START, every=0.1)
                tasks.append(asyncio.create_task(member.envoy.run(), name=f"envoy of {number}"))
                await until(lambda: asyncio.to_thread(instance.is_ready), within=START, every=0.2)

        await asyncio.gather(*(start(number) for number in range(count)))
        await rested(members)
        yield members


@asynccontextmanager
async def _followed() -> AsyncIterator[list["asyncio.Task[None]"]]:
    """Tasks that are to run as long as this; raises what ended one before."""
    tasks: list[asyncio.Task[None]] = []
    broken: list[asyncio.Task[None]] = []
    try:
        yield tasks
        broken += [task for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in broken:
        task.result()


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The service of all: who connects finds it well."""
    writer.close()


async def _ended(members: list[Member]) -> None:
    for member in members:
        with contextlib.suppress(AssertionError, ProcessLookupError):
            member.instance.terminate()
    for member in members:
        with contextlib.suppress(AssertionError):
            await asyncio.to_thread(member.instance.stop)


async def rested(members: Sequence[Member]) -> None:
    """Wait until all together take less than a tenth of a core for a second. Raises AssertionError."""

    async def at_rest() -> bool:
        before = used(members)
        await asyncio.sleep(1)  # the window that is measured
        return used(members) - before < 0.1

    await until(at_rest, within=REST)


def used(members: Sequence[Member]) -> float:
    """Seconds of CPU that all agents took so far, with their supervisors."""
    return sum(cpu(pid) for member in members for pid in member.processes)


def asked(members: Sequence[Member]) -> list[Counter[str]]:
    """What each has asked Consul so far."""
    return [Counter(member.relay.asked) for member in members]


def proportional(pid: int) -> float:
    """Megabytes of a process where what several share counts in parts (PSS)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    return int(text.partition("\nPss:")[2].split()[0]) * 1024 / 1e6


async def told(members: Sequence[Member], cluster: str, since: float, within: float) -> list[float]:
    """Seconds from ``since`` until each one's Envoy was told of the cluster. Raises AssertionError."""

    def all_of_them() -> list[float]:
        first = [
            next((at for at in reversed(one.envoy.told.get(cluster, [])) if at >= since), 0.0)
            for one in members
        ]
        return first if all(first) else []

    found = await until(all_of_them, within=within, every=0.01)
    return [at - since for at in found]


def now() -> float:
    """The clock of ``told``."""
    return time.monotonic()
