"""One message of a key in flight, and what is acknowledged is known for each bucket."""

from agent.outbox.delivery import Delivery, Rules
from agent.outbox.events import RefusedError
from tests.unit.outbox.test_cursor import event


def test_a_key_has_one_message_in_flight() -> None:
    delivery = Delivery([event(1, 1), event(2, 1), event(3, 2)])
    assert delivery.start() == [0, 2]
    assert delivery.acknowledge(2) is None
    assert delivery.acknowledge(0) == 1
    assert delivery.in_flight == 1
    assert delivery.unfinished() == {1: 2}


def test_messages_without_a_key_do_not_wait_for_each_other() -> None:
    assert Delivery([event(1, None), event(2, None)]).start() == [0, 1]


def test_a_refused_message_stops_the_later_ones_of_its_bucket_only() -> None:
    # Keys 1 and 5 share a bucket, 2 has another.
    delivery = Delivery([event(1, 1), event(2, 5), event(3, 2), event(4, 5), event(5, 2)])
    assert delivery.start() == [0, 1, 2]
    delivery.refuse(0, "too large")
    assert delivery.acknowledge(1) is None
    assert delivery.acknowledge(2) == 4
    delivery.acknowledge(4)
    assert delivery.in_flight == 0
    assert delivery.unfinished() == {1: 1}
    assert delivery.reasons == {1: "too large"}


def test_rows_before_a_row_that_is_no_event_still_go() -> None:
    events = [event(1, 1), event(2, 5), event(3, 1), event(4, 5)]
    delivery = Delivery(events, Rules(unfit={1: RefusedError("no event")}))
    assert delivery.start() == [0]
    assert delivery.acknowledge(0) is None
    assert delivery.unfinished() == {1: 2}


def test_an_answer_that_comes_twice_counts_once() -> None:
    delivery = Delivery([event(1, 1)])
    delivery.start()
    delivery.acknowledge(0)
    delivery.acknowledge(0)
    delivery.refuse(0, "no")
    assert delivery.acknowledged == 1
    assert delivery.reasons == {}


def test_topics_are_those_of_acknowledged_events_only() -> None:
    delivery = Delivery([event(1, 1), event(2, 1), event(3, 2)])
    delivery.start()
    assert list(delivery.topics) == []
    delivery.acknowledge(2)
    delivery.refuse(0, "too large")
    assert list(delivery.topics) == [event(3, 2).topic]
