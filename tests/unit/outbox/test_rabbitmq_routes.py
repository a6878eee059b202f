"""How long a topic without a queue is waited for."""

from agent.outbox.brokers.rabbitmq_routes import MOST, PATIENCE, Routes


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_topic_is_waited_for_until_its_time_is_over_and_then_not_again() -> None:
    clock = Clock()
    routes = Routes(clock)
    assert routes.may_return("orders")
    clock.now = PATIENCE - 1
    assert routes.may_return("orders")
    clock.now = PATIENCE
    assert not routes.may_return("orders")
    clock.now = 10 * PATIENCE
    assert not routes.may_return("orders")


def test_each_topic_has_its_own_time_and_one_that_was_taken_has_all_of_it_again() -> None:
    clock = Clock()
    routes = Routes(clock)
    assert routes.may_return("orders")
    clock.now = PATIENCE
    assert routes.may_return("payments")
    routes.taken("orders")
    assert routes.may_return("orders")
    clock.now = 2 * PATIENCE - 1
    assert routes.may_return("orders")


def test_no_more_topics_are_remembered_than_may_be() -> None:
    routes = Routes(Clock())
    assert all(routes.may_return(f"t{number}") for number in range(MOST))
    assert not routes.may_return("one more")
    assert routes.may_return("t0")
    routes.taken("t0")
    assert routes.may_return("one more")
