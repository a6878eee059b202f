"""What is set aside, when, and how much of it fits."""

from collections import Counter
from typing import Any

import pytest

from agent.outbox.delivery import Aside, Bar, Delivery, Rules
from agent.outbox.events import RefusedError, UnjudgedError
from agent.outbox.parked import keys
from agent.outbox.parked.keys import Limits
from agent.outbox.parked.ledger import Due
from agent.outbox.parked.patience import Patience
from agent.outbox.parked.replay import LAST_WAIT, chosen, wait
from agent.outbox.suspicion import Suspicion
from tests.unit.outbox.shelf_model import Clock
from tests.unit.outbox.test_cursor import event


def park(**more: Any) -> Rules:
    return Rules("park", **more)


def aside(delivery: Delivery) -> list[tuple[int, str]]:
    return [(each.number, each.verdict) for each in delivery.aside()]


def test_a_refused_event_takes_the_later_ones_of_its_key_aside_and_no_others() -> None:
    # Keys 1 and 5 share a bucket.
    delivery = Delivery([event(1, 1), event(2, 5), event(3, 1), event(4, 5)], park())
    assert delivery.start() == [0, 1]
    delivery.refuse(0, "too large")
    assert delivery.acknowledge(1) == 3
    delivery.acknowledge(3)
    assert aside(delivery) == [(0, "parked"), (2, "parked")]
    assert delivery.reasons == {}
    assert delivery.unfinished() == {1: 1}, "not kept yet, so no place may pass it"
    delivery.kept([0, 2])
    assert delivery.unfinished() == {}
    assert list(delivery.done) == [1, 3]


def test_events_before_a_row_that_is_no_event_are_sent_before_it_is_set_aside() -> None:
    delivery = Delivery([event(1, 1), event(2, 1), event(3, 1)], park(unfit={1: RefusedError("no event")}))
    assert delivery.start() == [0]
    assert aside(delivery) == []
    assert delivery.acknowledge(0) is None
    assert aside(delivery) == [(1, "parked"), (2, "parked")]


def test_a_known_key_is_not_sent_at_all() -> None:
    delivery = Delivery([event(1, 1), event(2, 2), event(3, 1)], park(known=lambda each: each.key == "1"))
    assert delivery.start() == [1]
    assert aside(delivery) == [(0, "known"), (2, "known")]


@pytest.mark.parametrize("policy", ["park", "skip", "block"])
def test_a_known_key_is_set_aside_whatever_is_done_with_refused_ones(policy: Any) -> None:
    rules = Rules(policy, unfit={0: RefusedError("no")}, known=lambda _: True)
    delivery = Delivery([event(1, 1)], rules)
    assert aside(delivery) == [(0, "known")]
    assert delivery.reasons == {}


def test_behind_a_skipped_event_nothing_of_its_key_goes_until_that_is_kept() -> None:
    delivery = Delivery([event(1, 1), event(2, 1)], Rules("skip"))
    assert delivery.start() == [0]
    delivery.refuse(0, "no")
    assert delivery.start() == []
    assert aside(delivery) == [(0, "skipped")]
    delivery.kept([0])
    assert delivery.unfinished() == {1: 2}
    assert delivery.start() == [1]
    delivery.acknowledge(1)
    assert delivery.unfinished() == {}
    assert list(delivery.topics) == ["t"], "a skipped event was not published"


def test_an_event_that_nobody_has_judged_is_not_left_out_but_parked_with_its_key() -> None:
    rules = Rules("skip", unfit={0: UnjudgedError("it can't be read"), 3: RefusedError("too large")})
    delivery = Delivery([event(1, 1), event(2, 1), event(3, 2), event(4, 3)], rules)
    assert delivery.start() == [2]
    assert aside(delivery) == [(0, "parked"), (1, "parked"), (3, "skipped")]


def test_an_event_that_is_refused_for_where_it_goes_is_not_left_out_but_parked_with_its_key() -> None:
    delivery = Delivery([event(1, 1), event(2, 1), event(3, 2)], Rules("skip"))
    assert delivery.start() == [0, 2]
    delivery.refuse(0, "there is no such topic", own=False)
    delivery.refuse(2, "too large")
    assert aside(delivery) == [(0, "parked"), (1, "parked"), (2, "skipped")]


def test_a_row_that_is_none_of_the_events_stops_buckets_behind_them() -> None:
    delivery = Delivery([event(1, 1), event(2, 2), event(3, 2)], Rules(unfit={1: RefusedError("no")}))
    delivery.stop_at(Bar(9, frozenset({1, 2, 3}), "its key can't be read"))
    assert delivery.start() == [0]
    delivery.acknowledge(0)
    assert delivery.unfinished() == {1: 9, 2: 2, 3: 9}
    assert delivery.reasons == {1: "its key can't be read", 2: "no", 3: "its key can't be read"}


def test_an_event_that_fails_stops_its_bucket_until_its_key_is_ripe() -> None:
    delivery = Delivery([event(1, 1), event(2, 5)], park())
    delivery.start()
    delivery.later(0, "busy", 7.0)
    assert (delivery.reasons, delivery.delays, delivery.unfinished()) == ({1: "busy"}, {1: 7.0}, {1: 1})
    ripe = Delivery([event(1, 1), event(2, 5)], park(ripe=lambda _event, _alone: True))
    ripe.start()
    ripe.later(0, "busy", 7.0)
    assert [(each.verdict, each.delay) for each in ripe.aside()] == [("held", 7.0)]
    assert ripe.reasons == {}


def test_what_can_not_be_kept_stops_its_bucket_there() -> None:
    delivery = Delivery([event(1, 1), event(2, 1)], park(known=lambda _: True))
    delivery.kept([0])
    delivery.stop(1, "full")
    assert delivery.aside() == []
    assert delivery.unfinished() == {1: 2}
    assert delivery.reasons == {1: "full"}


def test_events_of_a_careful_bucket_are_sent_one_at_a_time_after_the_others() -> None:
    rules = park(careful=lambda each: each.bucket == 1)
    delivery = Delivery([event(1, 1), event(2, 1), event(3, 5), event(4, 2)], rules)
    assert delivery.start() == [3]
    delivery.acknowledge(3)
    order = []
    while (admitted := delivery.admit()) is not None:
        (number,) = delivery.start()
        assert delivery.events[number] is admitted
        order.append(number)
        assert delivery.acknowledge(number) is None
    assert order == [0, 2, 1]
    assert delivery.unfinished() == {}


def test_only_so_many_rows_fit_and_of_a_key_a_beginning() -> None:
    asides = [Aside(n, event(n + 1, key), "parked", "no", 0.0) for n, key in enumerate([1, 1, 2, 1, 2])]
    one, two = keys.named("1"), keys.named("2")
    fit, over = keys.fitting(asides, Limits(3, 100), Counter({one: 2}), 2)
    assert [each.number for each in fit] == [0, 2, 4]
    assert [each.number for each, _ in over] == [1, 3]
    assert "outbox.held_key_rows" in over[0][1]
    fit, over = keys.fitting(asides, Limits(100, 4), Counter({one: 1, two: 1}), 2)
    assert [each.number for each in fit] == [0, 1]
    assert "outbox.held_rows" in over[0][1]


def test_what_is_only_left_out_takes_no_room() -> None:
    skipped = Aside(0, event(1, 1), "skipped", "no", 0.0)
    assert keys.fitting([skipped], Limits(1, 1), Counter(), 1) == ([skipped], [])


def test_a_key_of_any_length_has_a_short_name_and_an_event_without_one_is_alone() -> None:
    assert len(keys.named("x" * 100_000)) == len(keys.named("")) == 36
    assert keys.identity(None, 7) != keys.identity("row:7", 7)
    assert keys.identity("a", 1) == keys.identity("a", 2)


def failing(*others: int) -> Delivery:
    """A page in which key 1 fails and the others are taken."""
    delivery = Delivery([event(1, 1), *(event(2, each) for each in others)], park())
    for number in delivery.start():
        if number:
            delivery.acknowledge(number)
        else:
            delivery.later(number, "busy")
    return delivery


def test_a_key_is_held_once_it_failed_for_long_while_others_got_through() -> None:
    clock = Clock()
    patience = Patience(30.0, clock)
    patience.settle(failing(2))
    clock.now = 31.0
    assert not patience.is_up(event(1, 1), alone=False), "nothing else was taken since"
    assert patience.is_up(event(1, 1), alone=True), "the broker is known to be well"
    patience.settle(failing(2))
    assert patience.is_up(event(1, 1), alone=False)
    assert not patience.is_up(event(9, 3), alone=True), "another key"


def test_a_key_that_got_through_begins_anew() -> None:
    clock = Clock()
    patience = Patience(30.0, clock)
    patience.settle(failing(2))
    clock.now = 20.0
    through = Delivery([event(1, 1)], park())
    through.start()
    through.acknowledge(0)
    patience.settle(through)
    clock.now = 40.0
    assert not patience.is_up(event(1, 1), alone=True)


def test_nothing_is_held_where_that_is_turned_off() -> None:
    clock = Clock()
    patience = Patience(0.0, clock)
    patience.settle(failing(2))
    clock.now = 1e6
    assert not patience.is_up(event(1, 1), alone=True)


def due(name: str, tries: int) -> Due:
    return Due(name, 1, "replaying", 0, tries)


def test_a_key_that_may_have_ended_the_process_is_sent_alone_and_given_up_after_three_times() -> None:
    assert chosen([due("a", 0), due("b", 0)]) == ([due("a", 0), due("b", 0)], [])
    assert chosen([due("a", 0), due("b", 1), due("c", 2)]) == ([due("b", 1)], [])
    assert chosen([due("a", 0), due("b", 3)]) == ([due("a", 0)], [due("b", 3)])


def test_a_held_key_is_tried_ever_more_slowly_and_never_before_the_broker_said() -> None:
    waits = [wait(attempts, 0.0, lambda _low, high: high) for attempts in range(12)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (10.0, LAST_WAIT)
    assert wait(0, 600.0) == 600.0


def test_only_a_place_where_three_owners_ended_is_suspicious() -> None:
    suspicion = Suspicion({1: 2, 2: 3, 3: 4}, {1: 10, 3: 30})
    assert suspicion.careful == {2, 3}
    assert suspicion.rows == {3: 30}
