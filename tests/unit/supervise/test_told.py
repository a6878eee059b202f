"""What systemd is told of an instance, and when."""

from tests.unit.supervise.fake import World

STOPPING = "STOPPING=1\nEXTEND_TIMEOUT_USEC=45000000"


def test_an_agent_that_works_is_not_yet_a_service_that_can_be_called() -> None:
    assert World().up().system.told == []


def test_started_is_told_once_the_agent_says_that_callers_are_served() -> None:
    world = World().up()
    assert world.line.answer(world.ask("serving"))["id"] == world.number
    assert world.system.told == ["READY=1"]


def test_a_stop_is_told_with_the_time_that_it_may_take_and_a_little_more() -> None:
    world = World(deadline=40.0).up()
    world.ask("serving")
    world.whole.signalled()
    assert world.system.told == ["READY=1", STOPPING]


def test_the_end_of_the_service_is_told_as_a_stop_too() -> None:
    world = World(deadline=40.0).up()
    world.end("service", 3)
    assert world.system.told == [STOPPING]


def test_an_instance_that_leaves_is_not_told_to_have_started() -> None:
    world = World(deadline=40.0).up()
    world.whole.signalled()
    world.ask("serving")
    assert world.system.told == [STOPPING]
