"""A turn with a reader and a link that are told what happens when."""

import asyncio
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from agent.outbox.courier import AwayError, Courier
from agent.outbox.cursor import Cursor, Place
from agent.outbox.events import Event
from agent.outbox.leases import Lease, LostError
from agent.outbox.metrics import Metrics
from agent.outbox.reader import Page, Reader
from agent.outbox.snapshot import Snapshot
from agent.outbox.turns import Turns
from tests.unit.outbox.test_events import maker, row

BASE, SEEN = Snapshot(3, 3), Snapshot(9, 9)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Link:
    largest = 1000
    warnings = ()

    def __init__(self) -> None:
        self.sent: list[tuple[int, Event]] = []
        self.alive = False

    def send(self, number: int, event: Event) -> None:
        self.sent.append((number, event))

    async def answers(self) -> bool:
        return self.alive


class Rows:
    """A reader of one whole tick."""

    largest = 0

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.gated: list[int] = []

    async def poll(self, _poll: object) -> Page:
        return Page(list(self.rows), SEEN, True, 5)

    async def gate(self, wal: int) -> None:
        self.gated.append(wal)


class Scene:
    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.clock = Clock()
        self.reader = Rows(rows)
        self.link = Link()
        self.turns = Turns(
            Cursor({0: Place(BASE), 3: Place(BASE)}),
            cast("Reader", self.reader),
            maker(),
            Metrics(CollectorRegistry()),
            self.clock,
            fresh=-5.0,
        )
        self.lease = Lease(10.0, self.clock, 0.0)
        self.courier = Courier(self.lease, 0.05, None, "test", self.clock)

    def start(self) -> asyncio.Task[bool]:
        return asyncio.create_task(self.turns.turn(self.courier, self.link))


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_save_in_the_middle_of_a_page_holds_only_what_is_acknowledged() -> None:
    scene = Scene([row(id=1, key="a"), row(id=2, key="a"), row(id=3, key="b", bucket=0)])
    task = scene.start()
    await settled()
    assert scene.reader.gated == [5]
    assert [event.row for _, event in scene.link.sent] == [1, 3]
    assert scene.turns.places() == {0: Place(BASE, SEEN, 2), 3: Place(BASE, SEEN, 0)}
    scene.courier.acknowledged(scene.link.sent[0][0])
    scene.courier.acknowledged(scene.link.sent[1][0])
    assert scene.turns.places() == {0: Place(SEEN), 3: Place(BASE, SEEN, 1)}
    scene.courier.acknowledged(scene.link.sent[2][0])
    assert await task
    assert scene.turns.places() == {0: Place(SEEN), 3: Place(SEEN)}
    assert scene.turns.published == 3


async def test_a_lost_link_keeps_what_was_acknowledged() -> None:
    scene = Scene([row(id=1, key="a"), row(id=2, key="a")])
    task = scene.start()
    await settled()
    scene.courier.acknowledged(scene.link.sent[0][0])
    scene.courier.lost("cut")
    with pytest.raises(AwayError, match="cut"):
        await task
    assert scene.turns.places()[3] == Place(BASE, SEEN, 1)


async def test_nothing_is_sent_once_the_lease_ran_out() -> None:
    scene = Scene([row(id=1, key="a"), row(id=2, key="a")])
    task = scene.start()
    await settled()
    scene.clock.now = 9.0
    scene.courier.acknowledged(scene.link.sent[0][0])
    with pytest.raises(LostError):
        await task
    assert [event.row for _, event in scene.link.sent] == [1]


async def test_an_answer_to_an_earlier_page_is_not_taken_for_one_to_this() -> None:
    scene = Scene([row(id=1, key="a")])
    task = scene.start()
    await settled()
    scene.courier.acknowledged(scene.link.sent[0][0])
    await task
    scene.turns.cursor.move({3: Place(BASE), 0: Place(BASE)})
    task = scene.start()
    await settled()
    scene.courier.acknowledged(scene.link.sent[0][0])
    await settled()
    assert not task.done()
    scene.courier.acknowledged(scene.link.sent[1][0])
    await task


async def test_a_row_that_is_no_event_stops_its_bucket_and_says_why() -> None:
    scene = Scene([row(id=1, key="a", kind="a b"), row(id=2, key="c"), row(id=3, key="b", bucket=0)])
    task = scene.start()
    await settled()
    assert [event.row for _, event in scene.link.sent] == [3]
    scene.courier.acknowledged(scene.link.sent[0][0])
    await task
    assert scene.turns.places() == {0: Place(SEEN), 3: Place(BASE, SEEN, 0)}
    assert "wildcard" in scene.turns.stops.all[3].reason


@pytest.mark.parametrize("alive", [True, False])
async def test_an_event_without_an_answer_stops_its_bucket_only_where_the_broker_is_there(
    alive: bool,
) -> None:
    scene = Scene([row(id=1, key="a"), row(id=2, key="b", bucket=0)])
    scene.link.alive = alive
    task = scene.start()
    await settled()
    scene.courier.acknowledged(scene.link.sent[1][0])
    scene.clock.now = 0.06
    if alive:
        assert await task
        assert set(scene.turns.stops.all) == {3}
    else:
        with pytest.raises(AwayError, match="no acknowledgement"):
            await task
        assert scene.turns.stops.all == {}
    assert scene.turns.places() == {0: Place(SEEN), 3: Place(BASE, SEEN, 0)}


async def test_the_lag_counts_from_before_the_first_turn_and_rises_between_turns() -> None:
    scene = Scene([])
    assert scene.turns.lag == 5.0
    await scene.turns.turn(scene.courier, cast("Any", scene.link))
    assert scene.turns.lag == 0.0
    scene.clock.now = 30.0
    assert scene.turns.lag == 30.0


async def test_the_lag_of_a_bucket_that_stands_still_goes_on() -> None:
    scene = Scene([row(id=1, key="a", kind="a b")])
    await scene.turns.turn(scene.courier, cast("Any", scene.link))
    assert scene.turns.stops.all
    assert scene.turns.lag == 5.0


async def test_a_bucket_that_went_is_read_no_more_and_one_that_came_is() -> None:
    scene = Scene([row(id=1, key="a", kind="a b")])
    await scene.turns.turn(scene.courier, cast("Any", scene.link))
    assert set(scene.turns.stops.all) == {3}
    scene.turns.drop([3])
    assert scene.turns.places() == {0: Place(SEEN)}
    assert scene.turns.stops.all == {}
    scene.turns.take({7: Place(BASE)})
    assert scene.turns.places() == {0: Place(SEEN), 7: Place(BASE)}
    assert scene.turns.cursor.stragglers()[0].buckets == {7}


async def test_a_bucket_that_came_is_as_late_as_the_latest_and_without_any_the_lag_goes_on() -> None:
    scene = Scene([])
    await scene.turns.turn(scene.courier, cast("Any", scene.link))
    scene.clock.now = 2.0
    scene.turns.take({7: Place(BASE)})
    assert scene.turns.lag == 2.0
    scene.turns.drop([0, 3, 7])
    scene.clock.now = 9.0
    assert scene.turns.lag == 9.0
    assert not await scene.turns.turn(scene.courier, cast("Any", scene.link))
