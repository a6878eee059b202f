"""``make bench-fleet``. In the environment: AGENTS (50), SECONDS of each look (60), PARTS of named, all.

``named``: each agent names the five services that it calls, as many as it follows by a question each; ``all``: each
follows every service (``upstreams: "*"``). The table goes to standard output, the figures to build/bench-fleet.json.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from agent.demo import backing
from tests.bench.fleet import agents, consul
from tests.bench.footprint import cpu, memory
from tests.bench.planning import Figures

AGENTS = int(os.environ.get("AGENTS", "50"))
MOST = 200
"""Agents, whatever is asked for."""
EACH = 100 * 1024
"""Kilobytes that the machine must have for each."""
SECONDS = float(os.environ.get("SECONDS", "60"))
PARTS = (os.environ.get("PARTS") or "named,all").split(",")
BOUND = 1200.0
"""Seconds after which a part is given up, whatever it waits for."""
NAMED = (consul.FLAPPING, "s-0", "s-1", "s-2", "s-3")
REPORT = Path("build/bench-fleet.json")


class Look:
    """What happens between two moments, as figures."""

    def __init__(self, figures: Figures, what: str, members: Sequence[agents.Member], server: int) -> None:
        self._figures = figures
        self._what = what
        self._members = members
        self._server = server
        self._began = time.monotonic()
        self._asked = agents.asked(members)
        self._used = agents.used(members)
        self._consul = cpu(server)

    def end(self, told: consul.Telemetry, most: float | None = None) -> None:
        """Note it; ``most`` are the requests a second that an agent may send."""
        seconds = time.monotonic() - self._began
        asked = [
            after - before for before, after in zip(self._asked, agents.asked(self._members), strict=True)
        ]
        rates = [one.total() / seconds for one in asked]
        self._note("requests of an agent, mean", statistics.mean(rates), "/s", most)
        self._note("requests of the busiest agent", max(rates), "/s", most)
        for kind, number in sum(asked, Counter[str]()).most_common():
            self._note(f"  of it {kind}, mean", number / seconds / len(asked), "/s")
        self._note("requests at Consul, by its own count", told.rate, "/s")
        self._note("Consul's CPU", (cpu(self._server) - self._consul) / seconds * 100, "% of a core")
        self._note("Consul's memory", memory(self._server), "MB")
        used = (agents.used(self._members) - self._used) / seconds / len(asked) * 100
        self._note("CPU of an agent and its supervisor, mean", used, "% of a core")

    def _note(self, what: str, value: float, unit: str, most: float | None = None) -> None:
        self._figures.note(f"{self._what}: {what}", value, unit, most)


def sizes(figures: Figures, what: str, members: Sequence[agents.Member]) -> None:
    """What the agents hold of the machine's memory."""
    resident = sorted(memory(member.agent) for member in members)
    figures.note(f"{what}: an agent's memory (RSS), median", statistics.median(resident), "MB")
    figures.note(f"{what}: the largest agent's memory (RSS)", resident[-1], "MB")
    parts = sum(agents.proportional(pid) for member in members for pid in member.processes)
    figures.note(f"{what}: all, shared pages counted once (PSS)", parts, "MB")


async def flap(members: Sequence[agents.Member], flapping: consul.Flapping) -> list[float]:
    """Once a second; the seconds until each agent had told its Envoy, of all changes."""
    waits, ends, passing = [], time.monotonic() + SECONDS, True
    while (began := agents.now()) < ends:
        passing = not passing
        await flapping.turn(passing=passing)
        waits += await agents.told(members, f"upstream_{consul.FLAPPING}", began, within=30)
        await asyncio.sleep(max(began + 1 - agents.now(), 0))
    return sorted(waits)


async def part(figures: Figures, folder: Path, name: str) -> None:
    """One fleet, at rest and while an instance flaps."""
    server = backing.Consul(folder / "consul")
    server.start()
    pid = _server(server)
    try:
        async with asyncio.timeout(BOUND), aiohttp.ClientSession() as session:
            flapping = consul.Flapping(session, server.url)
            await flapping.register()
            before = cpu(pid)
            await asyncio.sleep(10)
            figures.note("Consul's CPU without agents", (cpu(pid) - before) * 10, "% of a core")
            upstreams = NAMED if name == "named" else ("*",)
            began = time.monotonic()
            async with agents.running(folder, AGENTS, server.http, upstreams) as members:
                what = f"{AGENTS} agents, {name}"
                figures.note(f"{what}: until all pass and rest", time.monotonic() - began, "s")
                async with consul.telemetry(session, server.url) as told:
                    look = Look(figures, f"{what}, idle", members, pid)
                    await asyncio.sleep(SECONDS)
                    look.end(told, 1.0)
                sizes(figures, what, members)
                async with consul.telemetry(session, server.url) as told:
                    look = Look(figures, f"{what}, flapping", members, pid)
                    waits = await flap(members, flapping)
                    look.end(told)
                for share, said in ((0.5, "p50"), (0.99, "p99"), (1.0, "the last")):
                    at = waits[min(int(len(waits) * share), len(waits) - 1)] * 1000
                    figures.note(f"{what}, flapping: change to Envoy told, {said}", at, "ms")
                sizes(figures, f"{what}, after it", members)
    finally:
        server.stop()


def _server(server: backing.Consul) -> int:
    assert server.pid is not None
    return server.pid


def available() -> int:
    """Kilobytes of memory that processes could still have."""
    text = Path("/proc/meminfo").read_text(encoding="utf-8")
    return int(text.partition("MemAvailable:")[2].split()[0])


def main() -> None:
    """Measure what PARTS says."""
    if not 0 < AGENTS <= MOST:
        raise SystemExit(f"AGENTS is {AGENTS}: 1 to {MOST} are started.")
    if available() < AGENTS * EACH:
        raise SystemExit(
            f"{AGENTS} agents want {AGENTS * EACH // 1024:,} MB of memory and {available() // 1024:,} are free: "
            "give a smaller AGENTS."
        )
    figures = Figures(report=REPORT)
    sys.stdout.write(f"load average {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores\n")
    for name in PARTS:
        with tempfile.TemporaryDirectory(prefix="pb-") as folder:
            asyncio.run(part(figures, Path(folder), name))
    figures.write()


if __name__ == "__main__":
    main()
