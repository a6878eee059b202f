"""How long a relay may publish, by its own clock only; what is durable; and what stands still."""

from agent.outbox.cursor import Place
from agent.outbox.leases import Lease
from agent.outbox.reader import durable_at
from agent.outbox.snapshot import Snapshot
from agent.outbox.stops import Stops


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_relay_stops_before_its_lease_since_it_sent_its_last_beat() -> None:
    clock = Clock()
    lease = Lease(10.0, clock, sent=100.0)
    clock.now = 106.9
    assert lease.left > 0
    clock.now = 107.1
    assert lease.left <= 0
    lease.renew(sent=105.0)
    assert lease.left > 0


def test_a_position_just_behind_a_page_header_is_the_page_start() -> None:
    assert durable_at(8192 * 5 + 24, 8192) == 8192 * 5
    assert durable_at(8192 * 5 + 40, 8192) == 8192 * 5
    assert durable_at(8192 * 5 + 32, 8192) == 8192 * 5 + 32


def test_a_stopped_bucket_is_tried_again_ever_more_slowly_and_freed_when_it_got_past() -> None:
    clock = Clock()
    stops = Stops(clock)
    target, base = Snapshot(9, 9), Snapshot(3, 3)
    stuck = {5: Place(base, target, 6)}
    assert stops.settle({5: "no"}, {5: 7}, stuck)[5].reason == "no"
    assert stops.resting() == {5}
    clock.now += 1.1
    assert stops.resting() == frozenset()
    assert stops.settle({5: "no"}, {5: 7}, stuck) == {}
    clock.now += 1.1
    assert stops.resting() == {5}
    assert stops.all[5].since == 100.0
    stops.settle({}, {}, {5: Place(base, target, 6)})
    assert 5 in stops.all
    stops.settle({}, {}, {5: Place(base, target, 7)})
    assert stops.all == {}
