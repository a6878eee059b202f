"""One instance of a service is restarted after the other, and none after one that does not pass."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Sequence

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from agent.registry import lock, rounds
from agent.registry.lock import Held, Lock
from agent.runtime.errors import Permanent, Transient
from tests.unit.registry.fleet import GONE, KEY, Consul, Instance, change, fleet, now, phase, rotate
from tests.unit.runtime import virtual


def three(consul: Consul) -> list[Instance]:
    return [Instance(consul, f"orders-{number}") for number in range(3)]


def test_all_are_restarted_once_and_never_two_are_out_at_a_time() -> None:
    async def story() -> None:
        consul = Consul()
        all_three = three(consul)
        async with fleet(*all_three):
            await change("new", 2, *all_three)
            await asyncio.sleep(60)
            assert [one.has for one in all_three] == ["new"] * 3
            assert [len(one.started) for one in all_three] == [1, 1, 1]
            assert max(map(len, consul.out)) == 1
            assert all([await one.ask("new", "new") for one in all_three])
            assert [one.word for one in all_three] == ["", "", ""]
            assert [one.metrics.unsettled._value.get() for one in all_three] == [0, 0, 0]
            assert not consul.sessions
            assert phase(consul) == "done"
            starts = sorted(one.started[0] for one in all_three)
            # each boots twice as long as a restart takes, and two spreads let callers hear of it
            assert all(later - earlier >= 6 for earlier, later in itertools.pairwise(starts))

    virtual.run(story())


def test_a_fleet_stops_at_an_instance_that_never_passes_and_goes_on_with_better_values() -> None:
    async def story() -> None:
        consul = Consul()
        first, second, third = all_three = three(consul)
        first.passes = "old newer"
        second.passes = third.passes = "old new newer"
        async with fleet(*all_three):
            await change("new", 2, first)
            await asyncio.sleep(1)
            await change("new", 2, second, third)
            await asyncio.sleep(3600)
            assert [len(one.started) for one in all_three] == [1, 0, 0]
            assert "does not pass its check: it answered 500; the other instances wait" in first.word
            assert "orders-0 is restarted first and has to pass its check" in second.word
            assert any(one.startswith("refused: ") for one in first.noted())
            assert [one.metrics.unsettled._value.get() for one in all_three] == [1, 1, 1]
            await change("newer", 3, *all_three)
            await asyncio.sleep(60)
            assert [one.has for one in all_three] == ["newer"] * 3
            assert [len(one.started) for one in all_three] == [2, 1, 1]
            assert max(map(len, consul.out)) == 1

    virtual.run(story())


def test_a_value_that_comes_back_restarts_only_who_had_lost_it() -> None:
    async def story() -> None:
        consul = Consul()
        first, second, third = all_three = three(consul)
        first.passes = "old"
        async with fleet(*all_three):
            await change("new", 2, first)
            await asyncio.sleep(1)
            await change("new", 2, second, third)
            await asyncio.sleep(60)
            await change("old", 3, *all_three)
            await asyncio.sleep(60)
            assert [len(one.started) for one in all_three] == [2, 0, 0]
            assert [one.word for one in all_three] == ["", "", ""]
            assert not consul.sessions

    virtual.run(story())


def test_the_lock_of_an_agent_that_died_before_it_restarted_anything_ends_by_itself() -> None:
    async def story() -> None:
        consul = Consul()
        first, second = Instance(consul, "orders-0"), Instance(consul, "orders-1")
        async with fleet(first, second):
            await change("new", 2, first)
            await asyncio.sleep(0.05)  # it holds the lock and leaves traffic
            assert (phase(consul), len(first.started)) == ("taken", 0)
            await change("new", 2, second)
            died = now()
            await first.die()
            await asyncio.sleep(60)
            assert second.has == "new"
            assert second.started[0] - died < 25

    virtual.run(story())


def test_who_died_after_its_restart_is_waited_for_until_it_passes_or_is_gone() -> None:
    async def story(passes: bool) -> None:
        consul = Consul()
        first, second = Instance(consul, "orders-0"), Instance(consul, "orders-1")
        first.boot = 5.0
        async with fleet(first, second):
            await change("new", 2, first)
            await asyncio.sleep(4)
            assert (phase(consul), len(first.started)) == ("restarted", 1)
            await change("new", 2, second)
            await first.die()
            await asyncio.sleep(GONE)
            assert not second.started
            assert "orders-0 was restarted, has lost its lock and does not pass its check" in second.word
            assert f"gone after 60 s, or when you delete {KEY} in Consul's KV" in second.word
            if passes:
                consul.mark("orders-0", True)
            else:
                del consul.checks["orders-0"]
            await asyncio.sleep(20)
            assert second.has == "new"

    virtual.run(story(passes=True))
    virtual.run(story(passes=False))


def test_who_died_after_its_restart_and_stays_in_the_catalogue_is_gone_in_the_end() -> None:
    """In ``registry.mode: catalog`` without a sweep, or where the machine went with its Consul agent."""

    async def story() -> None:
        consul = Consul()
        first, second, third = all_three = three(consul)
        async with fleet(*all_three):
            await change("new", 2, first)
            await asyncio.sleep(3.2)
            assert (phase(consul), len(first.started)) == ("restarted", 1)
            died = now()
            await first.die()
            await change("new", 2, second, third)
            await asyncio.sleep(2 * GONE)
            assert (second.has, third.has) == ("new", "new")
            starts = sorted((second.started[0], third.started[0]))
            assert GONE <= starts[0] - died <= GONE + 25
            assert starts[1] - starts[0] >= 6
            assert consul.checks["orders-0"] == "critical"

    with structlog.testing.capture_logs() as logged:
        virtual.run(story())
    assert [one["instance"] for one in logged if one["event"] == "restart.former_gone"] == ["orders-0"]


def test_who_lives_and_does_not_pass_is_waited_for_without_end_although_its_lock_was_lost() -> None:
    async def story() -> None:
        consul = Consul()
        first, second = Instance(consul, "orders-0", passes="old"), Instance(consul, "orders-1")
        async with fleet(first, second):
            await change("new", 2, first)
            await asyncio.sleep(5)
            await change("new", 2, second)
            consul.sessions = dict.fromkeys(consul.sessions, 0.0)
            await asyncio.sleep(3600)
            assert (len(first.started), second.started) == (1, [])
            assert "orders-0 is restarted first and has to pass its check" in second.word
            assert phase(consul) == "restarted"

    virtual.run(story())


@contextlib.asynccontextmanager
async def one_got_a_bad_secret() -> AsyncIterator[Sequence[Instance]]:
    """Three instances, of which the first was restarted with a secret with which none passes."""
    instances = three(Consul())
    for one in instances:
        one.passes = "old old-good"
    async with fleet(*instances):
        await rotate("-bad", instances[0])
        await asyncio.sleep(4)
        yield instances


def test_who_was_to_follow_a_failure_for_a_secret_follows_when_the_secret_is_another() -> None:
    """What is written in KV stays the same all the time, and nobody has to touch the lock."""

    async def story() -> None:
        async with one_got_a_bad_secret() as (first, second, third):
            await rotate("-bad", second, third)
            await first.end_of_it()
            await asyncio.sleep(3600)
            assert (second.started, third.started) == ([], [])
            assert "change them or the secrets to which they refer" in second.word
            await rotate("-good", second, third)
            await asyncio.sleep(30)
            assert (second.has, third.has) == ("old-good", "old-good")
            assert abs(second.started[0] - third.started[0]) >= 6
            assert (second.word, third.word) == ("", "")

    virtual.run(story())


def test_a_bad_secret_that_comes_late_to_another_instance_is_not_tried_there() -> None:
    """A file comes to each machine in its own time: that it changed after the failure says nothing good of it."""

    async def story() -> None:
        async with one_got_a_bad_secret() as (first, second, third):
            await first.end_of_it()
            await asyncio.sleep(60)
            await rotate("-bad", second)
            await asyncio.sleep(60)
            await rotate("-bad", third)
            await asyncio.sleep(600)
            assert (second.started, third.started) == ([], [])

    virtual.run(story())


def test_a_second_secret_that_is_bad_stops_the_fleet_at_one_more_instance() -> None:
    async def story() -> None:
        async with one_got_a_bad_secret() as (first, second, third):
            await rotate("-bad", second, third)
            await first.end_of_it()
            await asyncio.sleep(60)
            await rotate("-worse", second)
            await asyncio.sleep(6)
            assert second.has == "old-worse"
            await second.end_of_it()
            await rotate("-worse", third)
            await asyncio.sleep(600)
            assert third.started == []

    virtual.run(story())


def test_a_service_that_ends_of_new_values_is_followed_by_nobody_until_they_change() -> None:
    async def story() -> None:
        consul = Consul()
        first, second = Instance(consul, "orders-0", passes="old"), Instance(consul, "orders-1")
        async with fleet(first, second):
            await change("new", 2, first)
            await asyncio.sleep(4)
            await change("new", 2, second)
            await first.end_of_it()
            assert phase(consul) == "failed"
            await asyncio.sleep(3600)
            assert not second.started
            assert f"delete {KEY} in Consul's KV" in second.word
            await change("newer", 3, second)
            second.passes = "newer"
            await asyncio.sleep(20)
            assert second.has == "newer"

    virtual.run(story())


def test_while_consul_is_away_nothing_is_restarted_and_afterwards_all_are() -> None:
    async def story() -> None:
        consul = Consul()
        all_three = three(consul)
        async with fleet(*all_three):
            consul.away = True
            await change("new", 2, *all_three)
            await asyncio.sleep(300)
            assert not any(one.started for one in all_three)
            assert "is not restarted for changed configuration: Consul is away" in all_three[0].word
            consul.away = False
            await asyncio.sleep(60)
            assert [one.has for one in all_three] == ["new"] * 3
            assert max(map(len, consul.out)) == 1

    virtual.run(story())


def test_a_lock_that_is_lost_meanwhile_neither_restarts_twice_nor_lets_another_go_on() -> None:
    async def story() -> None:
        consul = Consul()
        first, second = Instance(consul, "orders-0", boot=8.0), Instance(consul, "orders-1")
        async with fleet(first, second):
            await change("new", 2, first)
            await asyncio.sleep(5)
            await change("new", 2, second)
            for session in consul.sessions:
                consul.sessions[session] = 0.0
            await asyncio.sleep(60)
            assert (len(first.started), len(second.started)) == (1, 1)
            assert max(map(len, consul.out)) == 1
            assert second.started[0] - first.started[0] >= 16
            assert (first.word, second.word) == ("", "")

    virtual.run(story())


def test_a_lock_that_is_lost_while_the_instance_leaves_traffic_restarts_nothing() -> None:
    async def story() -> None:
        consul = Consul()
        first, second = Instance(consul, "orders-0"), Instance(consul, "orders-1")
        async with fleet(first, second):
            await change("new", 2, first)
            await asyncio.sleep(0.05)
            assert (phase(consul), first.started) == ("taken", [])
            consul.sessions = dict.fromkeys(consul.sessions, 0.0)
            await asyncio.sleep(2.5)
            assert first.started == []
            await asyncio.sleep(20)
            assert (first.has, len(first.started), first.word) == ("new", 1, "")

    virtual.run(story())


def test_nobody_tells_of_a_restart_without_a_session() -> None:
    async def story() -> None:
        consul = Consul()
        with pytest.raises(Transient, match="was lost"):
            await Lock(consul, KEY, "orders-0", clock=now).say("restarted", "m")
        assert not consul.rows

    virtual.run(story())


def test_the_only_instance_does_not_wait_for_callers_to_go_elsewhere() -> None:
    async def story() -> None:
        consul = Consul()
        one = Instance(consul, "orders-0")
        async with fleet(one):
            began = now()
            await change("new", 2, one)
            await asyncio.sleep(10)
            assert one.started[0] - began < 0.5
            assert one.has == "new"

    virtual.run(story())


def test_values_that_change_again_before_the_restart_cost_one_restart() -> None:
    async def story() -> None:
        consul = Consul()
        first, second = Instance(consul, "orders-0", "old new newer"), Instance(consul, "orders-1")
        async with fleet(first, second):
            await change("new", 2, first)
            await asyncio.sleep(1)  # it leaves traffic
            await change("newer", 3, first)
            await asyncio.sleep(20)
            assert (first.has, len(first.started)) == ("newer", 1)

    virtual.run(story())


def test_an_instance_that_leaves_gives_the_lock_up() -> None:
    async def story() -> None:
        consul = Consul()
        first, second = Instance(consul, "orders-0"), Instance(consul, "orders-1")
        async with fleet(first, second):
            await change("new", 2, first)
            await asyncio.sleep(0.05)
            await change("new", 2, second)
            first.leaving.set(True)
            await first.end()
            await asyncio.sleep(10)
            assert not first.started
            assert second.has == "new"

    virtual.run(story())


def test_an_instance_that_is_drained_is_not_restarted_and_holds_nobody_up() -> None:
    async def story() -> None:
        consul = Consul()
        first, second = Instance(consul, "orders-0"), Instance(consul, "orders-1")
        async with fleet(first, second):
            first.draining.set(True)
            await change("new", 2, first, second)
            await asyncio.sleep(30)
            assert not first.started
            assert second.has == "new"

    virtual.run(story())


def test_an_agent_that_ends_in_the_middle_of_a_restart_does_not_call_it_done() -> None:
    async def story() -> None:
        consul = Consul()
        first = Instance(consul, "orders-0", boot=5.0)
        async with fleet(first):
            await change("new", 2, first)
            await asyncio.sleep(1)
            assert first.started
            await first.end()
            assert phase(consul) == "restarted"

    virtual.run(story())


def test_a_refusal_names_the_rights_that_are_missing() -> None:
    async def story() -> None:
        consul = Consul()
        first = Instance(consul, "orders-0")

        async def refuse(*_: object) -> None:
            raise Permanent("PUT /v1/session/create at Consul was refused with 403: Permission denied")

        consul.put = refuse
        async with fleet(first):
            await change("new", 2, first)
            await asyncio.sleep(1)
            assert first.word.endswith(f"(session write, and write on the key {KEY})")
            assert not first.started

    virtual.run(story())


@pytest.mark.parametrize(
    ("row", "held"),
    [
        (None, Held()),
        ({"Value": None}, Held()),
        ({"Session": "s", "Value": b"x"}, Held("s")),
        ({"Session": 5, "Value": b'{"instance": "a b", "phase": "failed"}'}, Held()),
        ({"Value": b'{"instance": "a\\" or \\"\\" == \\"", "phase": "failed"}'}, Held()),
        ({"Value": b'{"instance": "a-1", "phase": "failed", "of": "m"}'}, Held("", "a-1", "failed", "m")),
        ({"Value": b'{"instance": "a-1", "phase": "lost", "of": 5}'}, Held("", "a-1", "done", "")),
        ({"Value": b"[" * 4000}, Held()),
        ({"Value": b" " * 5000 + b"{}"}, Held()),
    ],
)
def test_what_others_write_into_the_lock_is_no_filter_and_no_surprise(row, held) -> None:
    assert lock.parse(row) == held


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, json_values)
def test_whatever_is_in_the_lock_is_read(value, session) -> None:
    held = lock.parse({"Session": session, "Value": json.dumps(value).encode()})
    assert isinstance(held, Held)


@given(st.lists(json_values, max_size=3))
def test_whatever_an_entry_is_it_passes_only_if_all_checks_do(entries) -> None:
    assert rounds.passes(entries) is False


def test_an_entry_passes_if_all_its_checks_do() -> None:
    well, ill = {"Status": "passing"}, {"Status": "critical"}
    assert rounds.passes([{"Checks": [well, well]}])
    assert not rounds.passes([{"Checks": [well, ill]}])
    assert not rounds.passes([{"Checks": []}])
    assert not rounds.passes([])
