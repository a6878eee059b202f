"""Consul's bad days, each on the real server with whole agents: traffic goes on, all comes back, nobody asks too much.

What is promised is in docs/consul-bad-days.md; the figures of a run are in build/consul-bad-days.
"""

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Mesh
from tests.acceptance.days.consul import Kept, Watched
from tests.acceptance.days.crowd import Crowd
from tests.acceptance.days.day import FEW, IDLE, MANY, NAMES, Day, judge
from tests.acceptance.days.relay import WINDOW, Relay
from tests.acceptance.instance import Instance
from tests.integration.registry.servers import Servers
from tests.waiting import until

TTL = 10
"""The check's, as it is by default."""
ACLS = pytest.mark.parametrize("acl", [False, True], ids=["acl-off", "acl-on"])


class Tokens:
    """A token for each agent, in a file."""

    def __init__(self, consul: Kept, folder: Path) -> None:
        self._consul = consul
        self._folder = folder
        self.given: dict[str, tuple[str, str]] = {}

    def file(self, name: str) -> Path:
        """Where an agent reads its own."""
        return self._folder / f"{name}.token"

    def write(self, name: str, secret: str) -> None:
        """Replace the file."""
        beside = self.file(name).with_suffix(".new")
        beside.touch(mode=0o600)
        beside.write_text(secret)
        beside.replace(self.file(name))

    def renew(self, secret: str = "") -> None:
        """A new token for each, in its file; with ``secret`` the same as before."""
        for name in NAMES:
            self.given[name] = self._consul.grant(self.given[name][1] if secret else "")
            self.write(name, self.given[name][1])

    def revoke(self) -> None:
        """Delete those that are in use."""
        for accessor, _ in self.given.values():
            self._consul.revoke(accessor)


class Alone:
    """A day with a single server."""

    def __init__(self, day: Day, consul: Kept, tokens: Tokens, saved: bytes) -> None:
        self.day = day
        self.consul = consul
        self.tokens = tokens
        self.saved = saved
        """Its state before anybody registered."""

    @property
    def acl(self) -> str:
        """As the figures name it."""
        return "on" if self.consul.acl else "off"


@contextlib.asynccontextmanager
async def alone(folder: Path, short_folder: Path, *, acl: bool) -> AsyncIterator[Alone]:
    """Both agents ready beside a server of their own."""
    consul = Kept(folder / "consul", acl=acl)
    tokens = Tokens(consul, folder)
    mesh = Mesh(short_folder, consul)  # type: ignore[arg-type]
    await asyncio.to_thread(consul.start, 60)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, consul.kill)
        if acl:
            consul.prepare()
            tokens.renew()
        saved = consul.save()
        relays = {name: await stack.enter_async_context(Relay(consul.http).open()) for name in NAMES}
        day = Day(mesh, consul, relays)
        stack.push_async_callback(asyncio.to_thread, mesh.close)
        for name in NAMES:
            day.start(name, **({"token_file": str(tokens.file(name))} if acl else {}))
        await day.ready()
        yield Alone(day, consul, tokens, saved)


@pytest.fixture
async def well(tmp_path: Path, short_folder: Path, acl: bool) -> AsyncIterator[Alone]:
    async with alone(tmp_path, short_folder, acl=acl) as made:
        yield made


@ACLS
async def test_a_server_is_killed_and_comes_back_with_its_data(well: Alone) -> None:
    """It is away for longer than the TTL, so that it comes back with every check critical; the callee's agent finds it
    later than the caller's."""

    async def event() -> None:
        await asyncio.to_thread(well.consul.kill)
        await asyncio.sleep(TTL + 2)
        async with well.day.unheard():
            await asyncio.to_thread(well.consul.start, 60)

    judge("killed", await well.day.play(event, within=20), of=well.acl, kept=["quiet"])


@ACLS
async def test_a_servers_data_is_wiped(well: Alone) -> None:
    """With ACLs nobody is let in until somebody has made the tokens again."""

    async def event() -> None:
        await asyncio.to_thread(well.consul.kill)
        well.consul.wipe()
        async with well.day.unheard():
            await asyncio.to_thread(well.consul.start, 60)
            if well.consul.acl:
                await until(lambda: "403" in trouble(well.day.agents["shop"]), within=20)
                well.consul.prepare()
                well.tokens.renew("the same")

    judge("wiped", await well.day.play(event, within=30), of=well.acl, kept=["lost"])


@ACLS
async def test_a_server_stands_still_for_a_minute(well: Alone) -> None:
    """When it goes on, every check is over at once."""

    async def event() -> None:
        well.consul.terminate(signal.SIGSTOP)
        await asyncio.sleep(60)
        async with well.day.unheard():
            well.consul.terminate(signal.SIGCONT)

    judge("paused", await well.day.play(event, within=60), of=well.acl, kept=["quiet"])


@pytest.mark.parametrize("acl", [True], ids=["acl-on"])
async def test_the_tokens_are_revoked_and_others_come_into_their_files_later(well: Alone) -> None:
    async def event() -> None:
        well.tokens.revoke()
        await until(lambda: "403" in trouble(well.day.agents["shop"]), within=20)
        await asyncio.sleep(TTL + 2)
        well.tokens.renew()

    judge("revoked", await well.day.play(event, within=30), of=well.acl)


@pytest.mark.parametrize("acl", [True], ids=["acl-on"])
async def test_an_agent_whose_token_has_no_rights_at_start_calls_whom_it_knew(well: Alone) -> None:
    """Its catalogue is on disk; it is not registered before its file holds a token that lets it in."""
    day, shop = well.day, well.day.agents["shop"]
    kept = shop.folder / "state" / "catalog.json"
    await until(lambda: kept.exists() and '"orders"' in kept.read_text().replace("\\", ""))
    await asyncio.to_thread(shop.stop)
    well.tokens.write("shop", "7d3c0a52-0000-4000-8000-000000000000")
    shop.start()
    await until(day.reaches("orders"), within=30, every=0.2)

    async def event() -> None:
        await until(lambda: "403" in trouble(shop), within=20)
        assert not shop.is_ready()
        assert well.consul.states("shop") == []
        await asyncio.sleep(TTL)
        well.tokens.write("shop", well.tokens.given["shop"][1])

    judge("denied-at-start", await day.play(event, within=30), of=well.acl)
    assert shop.is_ready()


@ACLS
async def test_the_answers_take_seconds(well: Alone) -> None:
    async def event() -> None:
        for relay in well.day.relays.values():
            relay.delay = 3.0
        await asyncio.sleep(2 * TTL)
        assert well.consul.states("orders") == [["passing", "passing"]]
        for relay in well.day.relays.values():
            relay.delay = 0.0

    judge("slow", await well.day.play(event, within=20), of=well.acl)


@ACLS
async def test_the_state_is_put_back_to_one_before_anybody_registered(well: Alone) -> None:
    """The index goes backwards in the same store, as after a restored backup. The caller's agent asks again before the
    callee's has registered it anew, which takes its look at what the servers list: Consul's own takes a minute."""
    index = int(well.consul.ask("/v1/agent/self")["Stats"]["raft"]["applied_index"])

    async def event() -> None:
        async with well.day.unheard():
            well.consul.put_back(well.saved)
            well.day.relays["shop"].cut()

    assert index > 10
    # Consul's own look may come just before the caller's question: then the callee is there, and no word of it comes.
    judge("put-back", await well.day.play(event, within=35), of=well.acl, kept=["lost", "quiet"])


@pytest.mark.parametrize(
    ("services", "acl", "rate"),
    [(1, False, FEW), (1, True, FEW), (50, False, MANY)],
    ids=["1-acl-off", "1-acl-on", "50-acl-off"],
)
async def test_500_instances_flap(well: Alone, services: int, rate: float) -> None:
    crowd = Crowd(well.consul, 500, services)
    await crowd.register()
    shop = well.day.agents["shop"]
    await until(lambda: counted(shop, "pillion_catalog_instances") >= 502, within=30)
    figures = await well.day.play(
        lambda: crowd.flap(20), within=20, also=lambda: counted(shop, "pillion_catalog_instances") >= 503
    )
    assert crowd.flips > 1000
    judge(f"flapping-of-{services}", figures, rate=rate, of=well.acl)


@pytest.mark.parametrize("acl", [False], ids=["acl-off"])
async def test_an_idle_agent_asks_less_than_once_a_second(well: Alone) -> None:
    relays = well.day.relays.values()
    await until(
        lambda: all(one.counts.rate(time.monotonic() - 2, time.monotonic()) <= IDLE for one in relays)
    )
    begin = time.monotonic()
    await asyncio.sleep(2 * WINDOW)
    for name, relay in well.day.relays.items():
        rate = relay.counts.rate(begin, time.monotonic())
        assert 0 < rate <= IDLE, f"{name}: {rate:.2f} a second"


async def test_a_cluster_of_three_loses_its_leader(tmp_path: Path, short_folder: Path) -> None:
    """Each agent asks the Consul client of its machine."""
    servers = Servers(tmp_path / "servers")
    await asyncio.to_thread(servers.start)
    clients = {name: servers.client(f"of-{name}") for name in NAMES}
    mesh = Mesh(short_folder, clients["shop"])  # type: ignore[arg-type]
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, servers.stop)
        for client in clients.values():
            stack.push_async_callback(asyncio.to_thread, client.kill)
            await asyncio.to_thread(client.start, 60)
        relays = {name: await stack.enter_async_context(Relay(clients[name].http).open()) for name in NAMES}
        day = Day(mesh, Watched(clients["shop"].url), relays)
        stack.push_async_callback(asyncio.to_thread, mesh.close)
        for name in NAMES:
            day.start(name)
        await day.ready()

        async def event() -> None:
            leader = servers.leader()
            await asyncio.to_thread(leader.kill)
            await asyncio.to_thread(clients["shop"].wait, 60)
            await asyncio.sleep(TTL)
            await asyncio.to_thread(leader.start, 60)

        judge("leader-lost", await day.play(event, within=40), rate=FEW)


def trouble(instance: Instance) -> str:
    """What an agent says is not well."""
    found = instance.status().get("components", {})
    return " ".join(f"{name}: {one['detail']}" for name, one in found.items() if one["state"] != "ok")


def counted(instance: Instance, metric: str) -> float:
    """A gauge of the agent's."""
    found = re.search(rf"^{metric} (\S+)$", instance.get("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else 0.0
