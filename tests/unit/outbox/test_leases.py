"""When an owner counts as gone, and how long a relay may publish: by its own clock only."""

from agent.outbox.cursor import Place
from agent.outbox.leases import Lease, Owner, Watch
from agent.outbox.reader import durable_at
from agent.outbox.snapshot import Snapshot
from agent.outbox.stops import Stops


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_owner_is_gone_when_its_beat_stood_still_for_a_lease() -> None:
    clock = Clock()
    watch = Watch(10.0, clock, lambda _: False)
    assert not watch.is_gone(Owner("a", 1, 64))
    clock.now += 9.9
    assert not watch.is_gone(Owner("a", 1, 64))
    clock.now += 0.1
    assert watch.is_gone(Owner("a", 1, 64))


def test_a_beat_that_moves_starts_the_wait_anew() -> None:
    clock = Clock()
    watch = Watch(10.0, clock, lambda _: False)
    for beat in range(5):
        assert not watch.is_gone(Owner("a", beat, 64))
        clock.now += 9
    assert not watch.is_gone(Owner("a", 4, 64))


def test_nobody_and_an_own_former_process_are_gone_at_once() -> None:
    watch = Watch(10.0, Clock(), lambda name: name == "mine/1")
    assert watch.is_gone(Owner(None, None, 64))
    assert watch.is_gone(Owner("mine/1", 5, 64))
    assert not watch.is_gone(Owner("other/1", 5, 64))


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
