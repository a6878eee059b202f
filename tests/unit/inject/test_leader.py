"""At most one replica leads, whatever their clocks and connections do."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

from agent.inject import leader
from agent.inject.cluster.kinds import LEASES
from agent.inject.leader import Leader
from agent.runtime.errors import Transient
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.unit.inject.objects import Objects
from tests.unit.runtime import virtual


class Replica:
    """One replica with clocks of its own: ``wrong`` is how far its wall clock is off."""

    def __init__(self, objects: Objects, name: str, wrong: timedelta = timedelta()) -> None:
        self.leading = Latest(False)
        self.board = Board(lambda: 0.0)
        self.now = 0.0
        self.leader = Leader(
            objects, "pillion-injector", "pillion", name, self.leading,
            health=self.board.of("leader"), clock=lambda: self.now,
            wall=lambda: datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=self.now) + wrong,
        )  # fmt: skip


async def test_the_first_leads_and_the_second_waits() -> None:
    objects = Objects()
    one, two = Replica(objects, "one"), Replica(objects, "two")
    await one.leader.turn()
    await two.leader.turn()
    assert (one.leading.value, two.leading.value) == (True, False)
    spec = objects.store["leases", "pillion", "pillion-injector"]["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("one", 15)


async def test_a_leader_that_renews_stays_whatever_the_clocks_say() -> None:
    objects = Objects()
    one = Replica(objects, "one", wrong=timedelta(days=-3))
    two = Replica(objects, "two", wrong=timedelta(days=3))
    for _ in range(100):
        one.now += leader.EVERY
        two.now += leader.EVERY
        await one.leader.turn()
        await two.leader.turn()
        assert (one.leading.value, two.leading.value) == (True, False)


async def test_a_leader_that_is_gone_is_followed_after_the_lease_and_not_before() -> None:
    objects = Objects()
    one, two = Replica(objects, "one"), Replica(objects, "two")
    await one.leader.turn()
    await two.leader.turn()
    two.now += leader.LASTS - 0.1
    await two.leader.turn()
    assert not two.leading.value
    two.now += 0.2
    await two.leader.turn()
    assert two.leading.value
    assert objects.store["leases", "pillion", "pillion-injector"]["spec"]["leaseTransitions"] == 1


async def test_a_leader_that_can_not_renew_stops_before_another_begins() -> None:
    objects = Objects()
    one, two = Replica(objects, "one"), Replica(objects, "two")
    await one.leader._bounded()
    await two.leader._bounded()
    led_until = followed_at = 0.0
    for _ in range(12):
        one.now += leader.EVERY
        two.now += leader.EVERY
        objects.failing = Transient("away for one")
        await one.leader._bounded()
        objects.failing = None
        await two.leader._bounded()
        assert not (one.leading.value and two.leading.value)
        led_until = one.now if one.leading.value else led_until
        followed_at = followed_at or (two.now if two.leading.value else 0.0)
    assert 0 < led_until < leader.GIVEN_UP <= followed_at
    assert "away for one" in one.board.reports["leader"].detail


async def test_of_two_that_see_a_free_lease_one_gets_it() -> None:
    objects = Objects()
    replicas = [Replica(objects, str(n)) for n in range(5)]
    await asyncio.gather(*(one.leader.turn() for one in replicas))
    assert sum(one.leading.value for one in replicas) == 1


def test_a_leader_that_stops_gives_the_lease_back() -> None:
    async def story() -> None:
        objects = Objects()
        one, two = Replica(objects, "one"), Replica(objects, "two")
        ready = asyncio.Event()
        task = asyncio.create_task(one.leader.run(ready.set))
        await ready.wait()
        await one.leading.until(bool)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not one.leading.value
        await two.leader.turn()
        assert two.leading.value
        assert LEASES.path("pillion-injector", "pillion").endswith(
            "/namespaces/pillion/leases/pillion-injector"
        )

    virtual.run(story())
