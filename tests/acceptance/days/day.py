"""Plays a day: `shop` calls `orders` from before the event until Consul and both agents are well again."""

import asyncio
import contextlib
import http.client
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import Mesh
from tests.acceptance.days.consul import Watched
from tests.acceptance.days.relay import WINDOW, Relay
from tests.acceptance.instance import Instance
from tests.acceptance.load import Record, load
from tests.record import Record as Report
from tests.waiting import until

NAMES = ("orders", "shop")
OUT = Path(__file__).parents[3] / "build" / "consul-bad-days"
FEW, MANY = 15.0, 175.0
"""Calls to Consul a second that no agent exceeds over any ten seconds: where it calls up to four services, and more."""
HOLD = 6.0
"""Seconds for which all must stay well: two rounds in which the checks are fed, and the longest pause before a question
is asked again."""
IDLE = 1.0
"""Calls a second of an agent while nothing happens."""


@dataclass(frozen=True)
class Figures:
    """What a day came to; seconds are counted from when Consul was in order again."""

    sent: int
    failures: list[tuple[float, str]]
    catalogue: float
    """Until both instances passed in Consul's catalogue, each once, and stayed so."""
    agents: float
    """Until both agents said that all is well."""
    change: float
    """Until a service that was registered after the event could be called."""
    most: float
    """Calls a second of the busier agent in its busiest ten seconds, from the event to the end."""
    mean: float
    """The same over all of it."""
    asked: str
    """What that agent asked for most."""
    kept: str
    """Why `shop` went on with instances that did not pass, as its log has it; empty where it did not have to."""


class Day:
    """Both agents beside one Consul, each with a way there of its own."""

    def __init__(self, mesh: Mesh, consul: Watched, relays: dict[str, Relay]) -> None:
        self.mesh = mesh
        self.consul = consul
        self.relays = relays
        self.agents: dict[str, Instance] = {}
        self._probes = 0

    def start(self, name: str, **registry: Any) -> Instance:
        """Start one of the two; not ready yet."""
        settings = {"registry": {"address": self.relays[name].address, **registry}}
        self.agents[name] = self.mesh.service(name, label=name, settings=settings)
        return self.agents[name]

    async def ready(self) -> None:
        """Both started, and one reaches the other."""
        for instance in self.agents.values():
            await instance.ready(within=60)
        await until(self.reaches("orders"), within=30, every=0.2)

    def reaches(self, host: str) -> Callable[[], Awaitable[bool]]:
        """Asks whether `shop` gets an answer from a service through its sidecar."""

        async def ask() -> bool:
            argv = ("/", self.agents["shop"].outbound, host)
            return await asyncio.to_thread(_status, *argv) == 200

        return ask

    @contextlib.asynccontextmanager
    async def unheard(self) -> AsyncIterator[None]:
        """No word of `orders` reaches Consul in the block, nor until `shop` has asked again and a moment longer.

        So `shop` has to go on with an instance of which Consul says nothing good; else it is chance whose agent asks
        first.
        """
        relay = self.relays["orders"]
        relay.shut = True
        relay.cut()
        try:
            yield
            await until(_of(self._without), within=40, every=0.1)
            await asyncio.sleep(2)
        finally:
            relay.shut = False

    def _without(self) -> bool:
        """Whether `shop` was told of `orders` as of one that does not pass, and what it made of that."""
        upstreams: dict[str, Any] = self.agents["shop"].status().get("upstreams", {})
        known = upstreams.get("orders")
        return bool(upstreams) and (known is None or known["stale"] or not known["instances"])

    @contextlib.asynccontextmanager
    async def traffic(self) -> AsyncIterator[Record]:
        """`shop` calls `orders` through its sidecar, about forty times a second."""
        url = f"http://127.0.0.1:{self.agents['shop'].outbound}/"
        async with load(url, clients=2, pause=0.05, headers={"Host": "orders"}) as record:
            await until(lambda: record.sent > 50, within=30)
            yield record
            sent = record.sent
            await until(lambda: record.sent > sent + 50, within=30)

    async def play(
        self, event: Callable[[], Awaitable[None]], *, within: float, also: Callable[[], bool] = lambda: True
    ) -> Figures:
        """The figures of an event, which ends when Consul is in order again; all is to be well ``within`` seconds of
        that. ``also`` must be true by then, too."""
        async with self.traffic() as record:
            begin = time.monotonic()
            await event()
            over = time.monotonic()
            conditions = (self._catalogue, self._well, self._change(), _of(also))
            took = await self._settled(conditions, over, within, record)
            # What was asked while it came back belongs to the day, and the busiest seconds may be the last.
            end = time.monotonic()
        busiest = max(self.relays.values(), key=lambda relay: relay.counts.most(begin, end))
        asked = busiest.counts.what(begin, end).most_common(4)
        return Figures(
            record.sent, record.failures, took[0], max(took[1], took[3]), took[2],
            busiest.counts.most(begin, end), busiest.counts.rate(begin, end),
            ", ".join(f"{count} {what}" for what, count in asked), self._kept(),
        )  # fmt: skip

    async def _settled(
        self, conditions: Sequence[Callable[[], Awaitable[bool]]], over: float, within: float, record: Record
    ) -> list[float]:
        """When each was false for the last time, once all have been true for ``HOLD`` seconds together."""
        last = [over for _ in conditions]
        while True:
            found = await asyncio.gather(*(condition() for condition in conditions))
            now = time.monotonic()
            last = [before if true else now for before, true in zip(last, found, strict=True)]
            if max(last) - over > within:
                what = f"not well {within:g} s later: {found}"
                raise AssertionError(await asyncio.to_thread(self._told, what, record))
            if now - max(last) >= HOLD:
                return [one - over for one in last]
            await asyncio.sleep(0.2)

    def _told(self, what: str, record: Record) -> str:
        """What is known of a day that does not end."""
        parts = [f"{what}; {len(record.failures)} failed, such as {record.failures[:3]}"]
        for name, instance in self.agents.items():
            status = instance.status()
            with contextlib.suppress(OSError):
                parts.append(f"{name} in the catalogue: {self.consul.states(name)}")
            parts.append(f"{name} says: {_unwell(status)}; upstreams {status.get('upstreams')}")
            parts.append(instance.tail(1500))
        return "\n".join(parts)

    def _kept(self) -> str:
        log = self.agents["shop"].log.read_text(errors="replace")
        return ", ".join(word for word in ("quiet", "lost") if f"catalog.{word}" in log)

    async def _catalogue(self) -> bool:
        with contextlib.suppress(OSError):
            states = [await asyncio.to_thread(self.consul.states, name) for name in NAMES]
            return all(len(one) == 1 and set(one[0]) == {"passing"} for one in states)
        return False

    async def _well(self) -> bool:
        told = [await asyncio.to_thread(instance.status) for instance in self.agents.values()]
        return all(status and not _unwell(status) for status in told)

    def _change(self) -> Callable[[], Awaitable[bool]]:
        """Asks whether a service is reached that is registered at the first time."""
        self._probes += 1
        name = f"probe-{self._probes}"
        body = {"Node": "probes", "Address": "127.0.0.1", "SkipNodeUpdate": False}
        where = {"ID": name, "Service": name, "Address": "127.0.0.1", "Port": self.agents["orders"].inbound}
        done = []

        async def ask() -> bool:
            if not done:
                with contextlib.suppress(OSError):
                    entry = {**body, "Service": where}
                    await asyncio.to_thread(self.consul.ask, "/v1/catalog/register", entry, "PUT")
                    done.append(name)
            return bool(done) and await self.reaches(name)()

        return ask


def judge(
    name: str, figures: Figures, *, rate: float = FEW, of: str = "off", kept: Collection[str] = ()
) -> None:
    """Write the figures down and hold them to what is promised; ``kept`` is why `shop` must have gone on, one of them:
    where it had no need to, the day has shown nothing of that."""
    report = Report(OUT / f"{name}-acl-{of}.md", f"{name}, ACLs {of}")
    columns = (
        "requests", "failed", "in the catalogue after", "agents well after", "a change is seen after",
        f"calls/s, most in {WINDOW:g} s", "calls/s, mean", "most asked for", "kept as",
    )  # fmt: skip
    report.table("What it came to", columns)
    report.row(
        (
            figures.sent, len(figures.failures), f"{figures.catalogue:.1f} s", f"{figures.agents:.1f} s",
            f"{figures.change:.1f} s", f"{figures.most:.1f}", f"{figures.mean:.1f}", figures.asked,
            figures.kept,
        )
    )  # fmt: skip
    assert figures.failures == [], f"{len(figures.failures)} of {figures.sent}: {figures.failures[:5]}"
    assert not kept or any(why in figures.kept for why in kept), f"kept as {figures.kept!r}, not as {kept}"
    assert figures.most <= rate, f"{figures.most:.1f} calls a second: {figures.asked}"


def _of(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return await asyncio.to_thread(condition)

    return ask


def _unwell(status: dict[str, Any]) -> dict[str, str]:
    """The components that do not say that all is well, and the upstreams of which the last known is in use."""
    components: dict[str, Any] = status.get("components", {})
    found = {name: one["detail"] for name, one in components.items() if one["state"] != "ok"}
    upstreams: dict[str, Any] = status.get("upstreams", {})
    return found | {name: "stale" for name, one in upstreams.items() if one["stale"]}


def _status(path: str, port: int, host: str) -> int:
    """The status of a GET through a sidecar's outbound listener, 0 without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
