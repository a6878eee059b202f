"""The fleet's lock on real Consul: one holder, and none that is dead."""

import asyncio
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.config.sections.registry import Registry
from agent.demo import backing
from agent.registry import client
from agent.registry.lock import TTL, Held, Lock
from agent.registry.restarts import key_of
from agent.runtime.errors import PillionError, Transient
from tests.acl import AclConsul
from tests.integration.registry.side import call
from tests.integration.registry.test_store import put, unique
from tests.unit.docs import blocks
from tests.waiting import until

READING = """
service_prefix "" { policy = "write" }
node_prefix "" { policy = "read" }
key_prefix "config/" { policy = "read" }
key "pillion/orders" { policy = "read" }
"""


@asynccontextmanager
async def locks(consul: backing.Consul, *owners: str, key: str = "") -> AsyncIterator[list[Lock]]:
    """Locks of several instances on one key; what they leave behind is theirs."""
    key = key or key_of(unique())
    async with client.connect(Registry(address=consul.url)) as reading:
        yield [Lock(reading, key, owner) for owner in owners]


async def test_one_has_it_until_it_gives_it_up_and_the_next_reads_its_last_word(
    shared_consul: backing.Consul,
) -> None:
    one, other = f"{unique()}-1", f"{unique()}-2"
    async with locks(shared_consul, one, other) as (first, second):
        assert await second.look() == (await second.look())
        assert (await second.look())[1] == Held()
        assert await first.take("m1")
        assert first.sure
        index, held = await second.look()
        assert (held.owner, held.phase, held.mark) == (one, "taken", "m1")
        assert held.session
        assert not await second.take("m1")
        await second.give("taken")
        await first.say("restarted", "m2")
        index, held = await second.look(index, 30.0)
        assert (held.phase, held.mark) == ("restarted", "m2")
        asked = asyncio.create_task(second.look(index, 30.0))
        await first.give("done")
        _, held = await asked
        assert held == Held("", one, "done", "m2")
        assert not first.held
        assert await second.take("m2")
        await second.give("done")
        sessions = call(shared_consul.url, "/v1/session/list") or []
        assert not [each for each in sessions if each["Name"] in {f"pillion {one}", f"pillion {other}"}]


async def test_the_lock_of_one_that_died_ends_and_its_word_stays(shared_consul: backing.Consul) -> None:
    async with locks(shared_consul, "orders-1", "orders-2") as (first, second):
        assert await first.take("m")
        await first.say("restarted", "m")
        died = time.monotonic()
        index, _ = await second.look()
        _, held = await second.look(index, 30.0)
        while held.session:
            index, held = await second.look(index, 30.0)
        assert held == Held("", "orders-1", "restarted", "m")
        await until(lambda: second.take("m"), every=0.3)
        # Consul's own delay, if ours were not taken, is 15 s.
        assert TTL <= time.monotonic() - died < 2 * TTL + 14
        assert not await first.renew()
        assert not first.held
        await second.give("done")


async def test_an_answer_about_the_lock_has_the_index_of_its_last_write_whatever_else_is_written(
    shared_consul: backing.Consul,
) -> None:
    """How an instance that waits knows whether it is still the same failure for which it waits."""
    async with locks(shared_consul, "orders-1", "orders-2") as (first, second):
        assert await first.take("m")
        await first.say("restarted", "m")
        await first.give("failed")
        before = await second.look()
        assert before[1] == Held("", "orders-1", "failed", "m")
        put(shared_consul, f"config/{unique()}/limit", b"1")
        assert await second.look() == before
        assert await second.take("m", "restarted")
        index, held = await second.look()
        assert index > before[0]
        assert (held.owner, held.phase) == ("orders-2", "restarted")
        await second.give("failed")
        assert (await second.look())[0] > index


async def test_who_renews_keeps_it(shared_consul: backing.Consul) -> None:
    async with locks(shared_consul, "orders-1", "orders-2") as (first, second):
        assert await first.take("m")
        until_then = time.monotonic() + 2.5 * TTL
        while time.monotonic() < until_then:
            assert await first.renew()
            assert first.sure
            assert not await second.take("m")
            await second.give("taken")
            await asyncio.sleep(TTL / 4)
        await first.give("done")


async def test_a_session_that_somebody_ended_is_noticed_and_made_anew(shared_consul: backing.Consul) -> None:
    async with locks(shared_consul, "orders-1") as (first,):
        assert await first.take("m")
        _, held = await first.look()
        call(shared_consul.url, f"/v1/session/destroy/{held.session}", method="PUT")
        with pytest.raises(PillionError, match=r"was lost|invalid session"):
            await first.say("restarted", "m")
        await until(lambda: first.take("m"), every=0.3)
        await first.give("done")


async def test_what_a_stranger_wrote_stands_in_nobodys_way(shared_consul: backing.Consul) -> None:
    key = key_of(unique())
    put(shared_consul, key, b"\xff" * 5000)
    async with locks(shared_consul, "orders-1", key=key) as (first,):
        assert (await first.look())[1] == Held()
        assert await first.take("m")
        await first.give("done")
        row = call(shared_consul.url, f"/v1/kv/{key}?raw=1")
        assert row == {"instance": "orders-1", "phase": "done", "of": "m"}


async def test_a_token_with_the_rights_of_the_page_may_and_one_without_is_told_so(tmp_path: Path) -> None:
    consul = AclConsul(tmp_path / "consul")
    try:
        await asyncio.to_thread(consul.start)
        consul.prepare()
        key = key_of("orders")
        page = blocks.ROOT / "docs" / "configuration-store.md"
        (more,) = [one.text for one in blocks.blocks([page]) if one.language == "hcl"]
        consul.ask("/v1/acl/policy", {"Name": "restarts", "Rules": READING + more}, "PUT")
        may = consul.ask("/v1/acl/token", {"Policies": [{"Name": "restarts"}]}, "PUT")["SecretID"]
        _, may_not = consul.grant()
        async with client.connect(Registry(address=consul.url, token=may)) as reading:
            lock = Lock(reading, key, "orders-1")
            assert await lock.take("m")
            await lock.give("done")
        async with client.connect(Registry(address=consul.url, token=may_not)) as reading:
            with pytest.raises(PillionError, match=r"session/create.* was refused with 403") as caught:
                await Lock(reading, key, "orders-1").take("m")
        assert may_not not in str(caught.value)
        with pytest.raises(OSError, match="403"):  # the right to restart is none to the live settings
            consul_put(consul, "pillion/orders", may)
    finally:
        await asyncio.to_thread(consul.stop)


async def test_an_instance_that_the_token_may_not_see_does_not_count_as_gone(tmp_path: Path) -> None:
    """Else the next one would be restarted behind one that does not pass."""
    consul = AclConsul(tmp_path / "consul")
    await asyncio.to_thread(consul.start)
    try:
        consul.ask("/v1/agent/service/register", {"Name": "orders", "ID": "orders-1", "Port": 80}, "PUT")
        blind = consul.granted('service_prefix "" { policy = "write" }')
        async with client.connect(Registry(address=consul.url, token=blind)) as reading:
            assert await reading.entries("orders", "orders-2") == []
            with pytest.raises(Transient, match="sees only a part of Consul's catalogue"):
                await reading.entries("orders", "orders-1")
    finally:
        await asyncio.to_thread(consul.stop)


def consul_put(consul: AclConsul, key: str, token: str) -> None:
    """Write a key with a token of its own. Raises OSError for a refusal."""
    request = urllib.request.Request(
        f"{consul.url}/v1/kv/{key}", data=b"{}", headers={"X-Consul-Token": token}, method="PUT"
    )
    backing.direct().open(request, timeout=30).close()
