"""Snapshots in the real Envoy."""

import asyncio
import gc
import socket
import stat
import threading
import time
from pathlib import Path

import aiohttp
import pytest
import structlog

from agent.demo.backing import free_port
from agent.model.revision import Revision
from agent.proxy.snapshot import Snapshot
from agent.proxy.xds.socket import SocketServer
from agent.proxy.xds.store import Good, SnapshotStore
from tests.integration.xds.rig import (
    Agent,
    Envoy,
    Hammer,
    backend,
    cluster,
    end,
    listener,
    occupied,
    port_of,
    snapshot,
)
from tests.waiting import until

log = structlog.get_logger(__name__)


async def answer(http: aiohttp.ClientSession, port: int, path: str = "/") -> str:
    """The status and the body of one request."""
    async with http.get(f"http://127.0.0.1:{port}{path}") as response:
        return f"{response.status} {await response.text()}"


async def test_a_snapshot_reaches_envoy_and_traffic_flows(
    agent: Agent, envoy: Envoy, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    async with agent.running(), backend("one") as one, backend("two") as two:
        envoy.start()
        await agent.in_force(snapshot(port, {"a": [one], "b": [two]}))
        assert await answer(http, port, "/a") == "200 one"
        assert await answer(http, port, "/b") == "200 two"
        assert stat.S_IMODE(agent.socket.stat().st_mode) == 0o600
        assert agent.revision.value.refusals == ()


async def test_changed_endpoints_are_active_within_milliseconds(
    agent: Agent, envoy: Envoy, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    async with agent.running(), backend("one") as one, backend("two") as two:
        envoy.start()
        await agent.in_force(snapshot(port, {"a": [one]}))
        times = []
        for turn in range(40):
            wanted = snapshot(port, {"a": [two if turn % 2 == 0 else one]})
            began = time.perf_counter()
            agent.snapshots.set(wanted)
            await agent.revision.until(lambda now, wanted=wanted: now.in_force == wanted.hash)
            times.append(time.perf_counter() - began)
            assert await answer(http, port) == ("200 two" if turn % 2 == 0 else "200 one")
        times.sort()
        log.info(f"endpoint change in force: p50 {times[20] * 1000:.1f} ms, worst {times[-1] * 1000:.1f} ms")
        assert times[20] < 0.4, "nothing waits for a clock: its shortest turn is a second"


async def test_a_changed_cluster_of_the_same_name_gets_its_endpoints_at_once(
    agent: Agent, envoy: Envoy
) -> None:
    port = free_port()
    async with agent.running(), backend("one") as one:
        envoy.start()
        await agent.in_force(snapshot(port, {"a": [one]}))
        async with Hammer(f"http://127.0.0.1:{port}").going() as hammer:
            for turn in range(10):
                await agent.in_force(snapshot(port, {"a": [one]}, timeout=f"{turn + 2}s"), within=12)
        assert hammer.failed == {}


async def test_a_refused_listener_leaves_the_last_good_ones_and_a_later_good_snapshot_clears_it(
    agent: Agent, envoy: Envoy, http: aiohttp.ClientSession
) -> None:
    port, other = free_port(), free_port()
    async with agent.running(), backend("one") as one, occupied() as taken:
        envoy.start()
        good = snapshot(port, {"a": [one]})
        await agent.in_force(good)
        listeners = {
            "in": good.listeners["in"],
            "new": listener("new", other, "r"),
            "bad": listener("bad", port_of(taken), "r", enable_reuse_port=False),
        }
        bad = Snapshot(good.clusters, good.endpoints, listeners, good.routes)
        agent.snapshots.set(bad)
        revision = await agent.revision.until(lambda now: bool(now.refusals))
        assert "ddress already in use" in revision.refusals[0].message
        assert (revision.refusals[0].type, revision.refusals[0].snapshot) == ("listener", bad.hash)
        assert revision.in_force == good.hash
        assert revision.serving

        async def refused() -> bool:
            try:
                await answer(http, other)
            except aiohttp.ClientConnectorError:
                return True
            return False

        await until(refused)
        assert await answer(http, port) == "200 one"
        assert "in use" in agent.board.reports["xds"].detail
        later = snapshot(port, {"a": [one]}, timeout="2s")
        await agent.in_force(later)
        assert agent.revision.value.refusals == ()
        assert agent.board.reports["xds"].detail == ""


async def test_what_was_refused_is_tried_again_and_accepted_once_its_reason_is_gone(
    agent: Agent, envoy: Envoy
) -> None:
    agent.retry_interval = 0.3
    good = snapshot(free_port(), {"a": [1]})
    async with agent.running(), occupied() as taken:
        listeners = {**good.listeners, "bad": listener("bad", port_of(taken), "r", enable_reuse_port=False)}
        envoy.start()
        await agent.in_force(good)
        agent.snapshots.set(Snapshot(good.clusters, good.endpoints, listeners, good.routes))
        await agent.revision.until(lambda now: bool(now.refusals))
        taken.close()
        await taken.wait_closed()
        await until(lambda: agent.revision.value.in_force == agent.revision.value.sent)
        assert agent.revision.value.refusals == ()


async def test_a_listener_whose_port_was_in_use_for_a_moment_is_there_within_seconds(
    agent: Agent, envoy: Envoy
) -> None:
    """With the intervals that an agent has."""
    async with agent.running(), occupied() as taken:
        wanted = snapshot(port_of(taken), {"a": [1]})
        wanted.listeners["in"]["enable_reuse_port"] = False
        envoy.start()
        agent.snapshots.set(wanted)
        await agent.revision.until(lambda now: bool(now.refusals))
        taken.close()
        await taken.wait_closed()
        await agent.in_force(wanted, within=15)


async def test_a_refused_cluster_leaves_endpoints_flowing(
    agent: Agent, envoy: Envoy, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    async with agent.running(), backend("one") as one, backend("two") as two:
        envoy.start()
        good = snapshot(port, {"a": [one]})
        await agent.in_force(good)
        newer = snapshot(port, {"a": [two]})
        clusters = {
            **newer.clusters,
            "bad": cluster(
                "bad",
                lb_policy="RING_HASH",
                ring_hash_lb_config={"minimum_ring_size": 1024, "maximum_ring_size": 2},
            ),
        }
        endpoints = {**newer.endpoints, "bad": {"cluster_name": "bad"}}
        agent.snapshots.set(Snapshot(clusters, endpoints, newer.listeners, newer.routes))
        revision = await agent.revision.until(lambda now: bool(now.refusals))
        assert revision.refusals[0].type == "cluster"
        await until(lambda: _is(http, port, "200 two"))
        assert agent.revision.value.in_force == good.hash


async def test_a_bad_endpoint_holds_up_no_other_upstream(
    agent: Agent, envoy: Envoy, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    async with agent.running(), backend("one") as one, backend("two") as two:
        envoy.start()
        await agent.in_force(snapshot(port, {"a": [one], "b": [one]}))
        wanted = snapshot(port, {"a": [two], "b": [one]})
        bad = {
            "cluster_name": "b",
            "endpoints": [
                {
                    "lb_endpoints": [
                        {
                            "endpoint": {
                                "address": {"socket_address": {"address": "no.address", "port_value": 1}}
                            }
                        }
                    ]
                }
            ],
        }
        agent.snapshots.set(
            Snapshot(wanted.clusters, {**wanted.endpoints, "b": bad}, wanted.listeners, wanted.routes)
        )
        await until(lambda: _is(http, port, "200 two", "/a"))
        revision = await agent.revision.until(lambda now: bool(now.refusals))
        assert revision.refusals[0].message.startswith("b: ")
        assert await answer(http, port, "/b") == "200 one"
        assert agent.revision.value.serving


async def test_what_cannot_be_encoded_is_refused_and_not_sent(agent: Agent, envoy: Envoy) -> None:
    port = free_port()
    async with agent.running():
        envoy.start()
        good = snapshot(port, {"a": [1]})
        await agent.in_force(good)
        clusters = {"a": {**good.clusters["a"], "no_such_field": 1}}
        agent.snapshots.set(Snapshot(clusters, good.endpoints, good.listeners, good.routes))
        revision = await agent.revision.until(lambda now: bool(now.refusals))
        assert "no_such_field" in revision.refusals[0].message
        assert (revision.sent, revision.in_force) == (good.hash, good.hash)
        await agent.in_force(snapshot(port, {"a": [2]}))
        assert agent.revision.value.refusals == ()


async def test_an_agent_that_restarts_never_empties_a_running_envoy(agent: Agent, envoy: Envoy) -> None:
    port = free_port()
    async with backend("one") as one:
        task = agent.start()
        envoy.start()
        await agent.in_force(snapshot(port, {"a": [one], "b": [one]}))
        await until(lambda: (good := agent.store.load()) and good.snapshot == agent.snapshots.value)
        async with Hammer(f"http://127.0.0.1:{port}", ["/a", "/b"]).going() as hammer:
            await end(task)
            before = hammer.seen["200"]
            await until(lambda: hammer.seen["200"] > before + 200, within=60)
            again = Agent(agent.folder)
            async with again.running():
                kept = await again.revision.until(lambda now: now.serving)
                assert kept.in_force == agent.revision.value.in_force
                await until(lambda: hammer.seen["200"] > before + 500, within=60)
                await again.in_force(snapshot(port, {"b": [one], "a": [one]}, timeout="3s"))
        assert hammer.failed == {}


async def test_an_agent_that_ends_has_kept_the_last_that_envoy_accepted(agent: Agent, envoy: Envoy) -> None:
    port = free_port()
    async with agent.running():
        envoy.start()
        for number in range(5):
            last = snapshot(port, {f"c{number}": [1]})
            await agent.in_force(last)
    assert agent.store.load() == Good(last)


class Late(SnapshotStore):
    """The first of its writes goes on once another is over; where none comes meanwhile, after a second."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.begun, self.over, self._another = threading.Event(), threading.Event(), threading.Event()

    def save(self, good: Good) -> None:
        """Write it, sooner or later."""
        first = not self.begun.is_set()
        self.begun.set()
        if first:
            self._another.wait(1)
        super().save(good)
        (self.over if first else self._another).set()


async def test_an_agent_that_ends_while_it_keeps_a_snapshot_keeps_the_newest_after_it(
    agent: Agent, envoy: Envoy
) -> None:
    late = Late(agent.folder / "snapshot.json")
    agent.keeper = lambda _: late
    async with agent.running():
        envoy.start()
        await agent.in_force(snapshot(free_port(), {"a": [1]}))
        await until(late.begun.is_set)
        last = snapshot(free_port(), {"b": [1]})
        await agent.in_force(last)
    await until(late.over.is_set)
    assert late.load() == Good(last)


async def test_a_socket_left_by_a_dead_agent_is_replaced(agent: Agent, envoy: Envoy) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(agent.socket))
    left.close()
    async with agent.running():
        envoy.start()
        await agent.in_force(snapshot(free_port(), {"a": [1]}))
    assert not agent.socket.exists()


@pytest.mark.parametrize("turns", range(6))
async def test_a_server_that_ends_while_it_begins_leaves_no_socket_open(folder: Path, turns: int) -> None:
    """Warnings are errors: a socket that is not closed is one."""
    server = SocketServer([], folder / "x.sock")
    task = asyncio.create_task(server.listen())
    for _ in range(turns):
        await asyncio.sleep(0)
    await end(task)
    if not task.cancelled():
        await server.stop()
    gc.collect()


async def test_an_envoy_that_was_killed_gets_everything_again_on_the_same_ports(
    agent: Agent, envoy: Envoy, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    async with agent.running(), backend("one") as one:
        envoy.start()
        wanted = snapshot(port, {"a": [one]})
        await agent.in_force(wanted)
        assert envoy.pid
        envoy.kill()
        await agent.revision.until(lambda now: not now.connected)
        assert not agent.revision.value.serving
        envoy.start()
        await agent.revision.until(lambda now: now.serving and now.in_force == wanted.hash)
        assert await answer(http, port) == "200 one"


async def test_a_restarted_envoy_gets_the_last_good_snapshot_while_the_newest_is_refused(
    agent: Agent, envoy: Envoy, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    async with agent.running(), backend("one") as one:
        envoy.start()
        good = snapshot(port, {"a": [one]})
        await agent.in_force(good)
        bad = snapshot(port, {"b": [one]}, route="other")
        worse = {"in": {**bad.listeners["in"], "traffic_direction": "INBOUND", "filter_chains": []}}
        agent.snapshots.set(Snapshot(bad.clusters, bad.endpoints, worse, {}))
        await agent.revision.until(lambda now: bool(now.refusals))
        envoy.kill()
        await agent.revision.until(lambda now: not now.connected)
        envoy.start()
        await agent.revision.until(lambda now: now.serving)
        assert agent.revision.value.in_force == good.hash
        await until(lambda: _is(http, port, "200 one", "/a"))


async def test_no_request_fails_while_clusters_and_routes_come_go_and_are_renamed(
    agent: Agent, envoy: Envoy
) -> None:
    port = free_port()
    async with agent.running(), backend("one") as one, backend("two") as two:
        envoy.start()
        await agent.in_force(snapshot(port, {"c0": [one]}))
        async with Hammer(f"http://127.0.0.1:{port}").going(workers=8) as hammer:
            for turn in range(50):
                clusters = {f"c{turn + 1}": [one, two], f"d{turn % 3}": [two]}
                await agent.in_force(snapshot(port, clusters, route=f"r{turn // 10}"))
                await until(lambda turn=turn: hammer.seen["200"] > 2 * turn, within=60)
        assert hammer.failed == {}
        log.info(f"{hammer.seen['200']} requests over 50 changes")


async def test_the_newest_stream_counts(agent: Agent, envoy: Envoy) -> None:
    second = agent.folder / "second"
    second.mkdir()
    (second / "x.sock").symlink_to(agent.socket)
    other = Envoy(second)
    async with agent.running():
        envoy.start()
        await agent.in_force(snapshot(free_port(), {"a": [1]}))
        other.start()
        try:
            await agent.in_force(snapshot(free_port(), {"a": [2]}))
        finally:
            other.kill()


async def test_without_an_envoy_or_a_plan_it_waits_and_says_so(agent: Agent) -> None:
    async with agent.running():
        await until(agent.socket.exists)
        assert agent.revision.value == Revision()
        assert agent.board.reports["xds"].detail == "No Envoy is connected."


async def _is(http: aiohttp.ClientSession, port: int, wanted: str, path: str = "/") -> bool:
    return await answer(http, port, path) == wanted
