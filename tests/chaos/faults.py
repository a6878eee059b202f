"""What each kind of fault of a plan does to a rig; when its method returns, it is healed."""

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator

from tests.chaos import succession
from tests.chaos.checker import Fault
from tests.chaos.ledgers import FEEDS
from tests.chaos.network import Network
from tests.chaos.plan import Planned
from tests.chaos.rig import FAKETIME, NAMES, Rig
from tests.chaos.workload import PAD, Workload

HOUR = 3600
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"
STEAL = """
UPDATE pillion.bucket SET owner = 'thief/' || $1::text, epoch = epoch + 1
WHERE feed = $2 AND bucket = ANY($3::int2[])"""


class Faults:
    """Breaks a rig as planned. ``done`` counts by kind; what is of one server happens one after another."""

    def __init__(self, rig: Rig, workload: Workload, flood: int = 0) -> None:
        """``flood``: rows of the one large transaction."""
        self.done: Counter[str] = Counter()
        self.left: Counter[str] = Counter()
        """What could not be done on this machine."""
        self._rig = rig
        self._workload = workload
        self._flood = flood
        self._turns = {name: asyncio.Lock() for name in ("relay", "database", "broker", "clock")}
        self._adopting = asyncio.Lock()

    async def follow(self, faults: tuple[Planned, ...]) -> None:
        """Do all of them at their times; returns when the last is healed."""
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for each in faults:
                await asyncio.sleep(max(0.0, start + each.at - time.monotonic()))
                group.create_task(self._do(each), name=f"fault {each.kind}")

    async def _do(self, planned: Planned) -> None:
        async with self._turn(planned.kind):
            if planned.kind == "clock_moved" and not FAKETIME.exists():
                self.left[planned.kind] += 1
                return
            begin = time.time()
            await getattr(self, planned.kind)(planned)
            self._rig.faults.append(Fault(begin, time.time()))
            self.done[planned.kind] += 1

    @contextlib.asynccontextmanager
    async def _turn(self, kind: str) -> AsyncIterator[None]:
        lock = self._turns.get(kind.partition("_")[0])
        if lock is None:
            yield
        else:
            async with lock:
                yield

    async def relay_killed(self, planned: Planned) -> None:
        """SIGKILL, and another one later."""
        relays, which = self._rig.relays, planned.which % self._rig.relays.count
        relays.held.add(which)
        relays.processes[which].kill()
        await asyncio.sleep(planned.lasting)
        relays.processes[which].launch()
        relays.held.discard(which)

    async def relay_stopped(self, planned: Planned) -> None:
        """SIGSTOP, often past the lease: then it is a zombie when it goes on."""
        pid = self._rig.relays.processes[planned.which % self._rig.relays.count].pid
        if pid is None:
            return
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(planned.lasting)
        os.kill(pid, signal.SIGCONT)

    async def relay_twin(self, planned: Planned) -> None:
        """A second process under the same identity takes everything at once from one that is alive."""
        twin = self._rig.relays.make(NAMES[planned.which % self._rig.relays.count])
        twin.launch()
        await asyncio.sleep(planned.lasting)
        twin.kill()

    async def buckets_stolen(self, planned: Planned) -> None:
        """Half of the buckets belong to somebody who does not exist."""
        first = planned.which % 33
        await self._steal(planned, [*range(first, first + 32)], *FEEDS.values())

    async def bucket_stolen(self, planned: Planned) -> None:
        """One bucket of one feed does."""
        await self._steal(planned, [planned.which], [*FEEDS.values()][planned.which % 2])

    async def _steal(self, planned: Planned, buckets: list[int], *feeds: str) -> None:
        # An adoption is refused while somebody new appears as an owner.
        async with self._adopting:
            for feed in feeds:
                await self._rig.execute(STEAL, str(planned.at), feed, buckets)

    async def backends_killed(self, _planned: Planned) -> None:
        """The relays' sessions end."""
        await self._rig.execute(END, "pillion")

    async def sessions_killed(self, _planned: Planned) -> None:
        """The writers' sessions end."""
        await self._rig.execute(END, "service")

    async def database_crashed(self, planned: Planned) -> None:
        """An immediate stop just after commits that did not wait for the disk."""
        self._workload.calm.clear()
        await asyncio.sleep(0.04)
        await asyncio.to_thread(self._rig.postgres.stop, 20, signal.SIGQUIT)
        self._workload.calm.set()
        await asyncio.sleep(planned.lasting)
        self._rig.postgres.launch()
        await asyncio.to_thread(self._rig.postgres.wait)

    async def database_failed_over(self, planned: Planned) -> None:
        """The primary is gone, and a standby that had not everything takes over."""
        await succession.failover(self._rig, planned.lasting, early=planned.which % 2 == 0)

    async def database_restored(self, planned: Planned) -> None:
        """The cluster is gone; another one has a backup that was taken seconds before, and it is adopted."""
        async with self._adopting:
            await succession.restore(self._rig, self._workload, planned.lasting)

    async def database_flooded(self, _planned: Planned) -> None:
        """One transaction of hundreds of thousands of rows; the relays read it while other things fail."""
        await self._workload.flood(self._flood)

    async def database_cut(self, planned: Planned) -> None:
        """The relays' connections break and none is had."""
        await self._cut(self._rig.database, planned)

    async def database_mute(self, planned: Planned) -> None:
        """The relays' connections stand and carry nothing."""
        await self._mute(self._rig.database, planned)

    async def database_slow(self, planned: Planned) -> None:
        """Every answer is late."""
        await self._slow(self._rig.database, planned)

    async def broker_killed(self, planned: Planned) -> None:
        """SIGKILL, and again later, with what it had acknowledged."""
        await self._restart(planned, signal.SIGKILL)

    async def broker_stopped(self, planned: Planned) -> None:
        """An orderly stop, and a start later."""
        await self._restart(planned, signal.SIGTERM)

    async def broker_cut(self, planned: Planned) -> None:
        """The relays' connections break and none is had."""
        await self._cut(self._rig.broker, planned)

    async def broker_mute(self, planned: Planned) -> None:
        """The relays' connections stand and carry nothing: acknowledgements are late or lost."""
        await self._mute(self._rig.broker, planned)

    async def broker_slow(self, planned: Planned) -> None:
        """Every acknowledgement is late."""
        await self._slow(self._rig.broker, planned)

    async def broker_full(self, planned: Planned) -> None:
        """The stream takes nothing more, as when the disk is full."""
        await self._rig.bench.change_stream(max_bytes=1, discard="new")
        try:
            await asyncio.sleep(planned.lasting)
        finally:
            await self._rig.bench.change_stream(max_bytes=-1)

    async def broker_strict(self, planned: Planned) -> None:
        """The stream refuses events that are larger than usual: their keys are parked."""
        await self._rig.bench.change_stream(max_msg_size=PAD - 500)
        try:
            await asyncio.sleep(planned.lasting)
        finally:
            await self._rig.bench.change_stream(max_msg_size=-1)

    async def clock_moved(self, planned: Planned) -> None:
        """The relays' wall clocks jump by an hour, and back."""
        self._rig.relays.clock.write_text(f"{HOUR if planned.which % 2 else -HOUR:+d}")
        await asyncio.sleep(planned.lasting)
        self._rig.relays.clock.write_text("+0")

    async def _restart(self, planned: Planned, sign: signal.Signals) -> None:
        await asyncio.to_thread(self._rig.nats.stop, 20, sign)
        await asyncio.sleep(planned.lasting)
        self._rig.nats.launch()
        await asyncio.to_thread(self._rig.nats.wait)

    async def _cut(self, network: Network, planned: Planned) -> None:
        network.cut()
        await asyncio.sleep(planned.lasting)
        network.heal()

    async def _mute(self, network: Network, planned: Planned) -> None:
        network.mute()
        await asyncio.sleep(planned.lasting)
        network.heal()

    async def _slow(self, network: Network, planned: Planned) -> None:
        network.delay = 0.05 + planned.which / 640
        await asyncio.sleep(planned.lasting)
        network.heal()
