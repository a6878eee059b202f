"""Who should have which buckets: fair shares, few moves, and nobody taken for dead who may publish."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.outbox import shares
from agent.outbox.shares import Exchange, Living, View, Watch, exchange, has_room, lost
from tests.unit.outbox.shares_model import BUCKETS, LEASE, World

look = Watch.look


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def view(*owners: str | None, members: str = "", epoch: int = 1) -> View:
    """Buckets 0, 1, … of these owners; ``members`` are one letter each."""
    names = {*members, *(each for each in owners if each)}
    return View(dict.fromkeys(names, 1), dict(enumerate(owners)), dict.fromkeys(range(len(owners)), epoch))


def living(names: str, settled: str = "", forgotten: tuple[int, ...] = ()) -> Living:
    return Living(frozenset(names), frozenset(settled), frozenset(forgotten))


def epochs(seen: View, me: str) -> dict[int, int]:
    return {bucket: seen.epochs[bucket] for bucket, owner in seen.owners.items() if owner == me}


def wish(me: str, seen: View, who: Living) -> Exchange:
    mine = epochs(seen, me)
    return exchange(me, seen, mine, who, list(mine))


def test_who_is_alone_takes_all() -> None:
    assert wish("a", view(*[None] * 8), living("a")).take == tuple(range(8))
    assert wish("a", view("a", "a", "b", "b"), living("a")).take == (2, 3)


def test_what_is_free_is_taken_up_to_a_fair_share_and_one_may_have_one_more() -> None:
    free = [None] * 7
    assert len(wish("a", view(*free, members="ab"), living("ab")).take) == 4
    assert len(wish("b", view("a", "a", "a", "a", None, None, None), living("ab")).take) == 3


def test_nothing_is_given_to_one_that_was_not_seen_alive_for_a_lease() -> None:
    seen = view(*"aaaaaaaa", members="ab")
    assert wish("a", seen, living("ab")).is_none
    assert wish("a", seen, living("ab", settled="ab")).give == (4, 5, 6, 7)


def test_no_more_is_given_than_is_lacked_and_is_not_free_already() -> None:
    assert wish("a", view(*"aaaaaabb"), living("ab", "ab")).give == (4, 5)
    assert wish("a", view(*"aaaaaa", None, "b"), living("ab", "ab")).give == (4, 5)
    assert wish("a", view(*"aaaaa", None, None, "b"), living("ab", "ab")).give == (4,)
    assert wish("a", view(*"aaaab", None, None, "b"), living("ab", "ab")).is_none


def test_shares_that_differ_by_one_are_fair() -> None:
    assert wish("a", view(*"aaabbcc"), living("abc", "abc")).is_none
    assert wish("b", view(*"aaabbcc"), living("abc", "abc")).is_none
    assert wish("a", view(*"aaaabcd"), living("abcd", "abcd")).give == (2, 3)


def test_only_what_may_move_is_given() -> None:
    seen = view(*"aaaaaaaa", members="ab")
    assert exchange("a", seen, epochs(seen, "a"), living("ab", "ab"), [0, 1]).give == (0, 1)


def test_what_is_written_down_as_ones_own_and_not_known_is_taken_anew() -> None:
    """As where the answer of an exchange got lost; whatever the share is, for nobody else would."""
    seen = view(*"aaaaaabb")
    assert exchange("a", seen, {0: 1, 1: 1}, living("ab", "ab"), ()).take == (2, 3, 4, 5)
    assert exchange("a", seen, {0: 1, 1: 0}, living("ab", "ab"), ()).take == (1, 2, 3, 4, 5)


def test_what_was_given_up_and_is_not_taken_for_a_lease_is_taken_by_whoever_sees_it() -> None:
    seen = view("a", "a", None, None, members="ab")
    assert wish("a", seen, living("ab", "ab")).is_none
    assert wish("a", seen, living("ab", "ab", forgotten=(2, 3))).take == (2, 3)


def test_a_view_older_than_a_claim_takes_nothing_away() -> None:
    seen = view("a", "b", "b", epoch=5)
    assert lost({0: 5, 1: 4, 2: 6}, seen) == {1}


def test_there_is_room_for_so_many_and_the_own_row_counts_for_none() -> None:
    assert has_room("c", living("a"), 2)
    assert not has_room("c", living("ab"), 2)
    assert has_room("a", living("ab"), 2)


def test_a_member_is_dead_when_its_beat_stood_still_for_a_lease() -> None:
    clock = Clock()
    watch = Watch(10.0, clock, lambda _: False)
    seen = View({"a": 7}, {0: "a"}, {0: 1})
    assert watch.look(seen, clock.now).alive == {"a"}
    clock.now += 9.9
    assert watch.look(seen, clock.now).alive == {"a"}
    clock.now += 0.1
    assert watch.look(seen, clock.now).alive == frozenset()
    assert watch.look(View({"a": 8}, {0: "a"}, {0: 1}), clock.now).alive == {"a"}


def test_a_relay_that_stood_still_takes_nobody_for_dead() -> None:
    """Whether before an answer came or before it was looked at: an answer is as old as its question."""
    clock = Clock()
    watch = Watch(10.0, clock, lambda _: False)
    seen = View({"a": 7}, {0: "a"}, {0: 1})
    watch.look(seen, clock.now)
    asked = clock.now + 1
    clock.now += 1000
    assert watch.look(seen, asked).alive == {"a"}
    other = Watch(10.0, clock, lambda _: False)
    asked = clock.now
    clock.now += 1000
    other.look(seen, asked)
    assert other.look(seen, clock.now + 9).alive == {"a"}


def test_an_own_former_process_is_dead_at_once() -> None:
    clock = Clock()
    watch = Watch(10.0, clock, lambda name: name == "mine/1")
    seen = View({"mine/1": 5, "other/1": 5}, {0: "mine/1"}, {0: 1})
    assert watch.look(seen, clock.now).alive == {"other/1"}
    assert watch.is_former("mine/1")


def test_a_member_has_settled_when_its_beat_moved_for_a_lease_and_lately() -> None:
    clock = Clock()
    watch = Watch(10.0, clock, lambda _: False)

    def look(beat: int, later: float) -> Living:
        clock.now += later
        return watch.look(View({"a": beat}, {0: None}, {0: 1}), clock.now)

    for beat in range(4):
        assert look(beat, 3).settled == frozenset()
    assert look(4, 3).settled == {"a"}
    assert look(4, 4.9).settled == {"a"}
    assert look(4, 0.2).settled == frozenset()
    assert look(5, 0.2).settled == {"a"}
    watch.doubt()
    assert look(6, 3).settled == frozenset()


def test_what_nobody_alive_had_for_a_lease_is_forgotten() -> None:
    clock = Clock()
    watch = Watch(10.0, clock, lambda _: False)

    def look(owner: str | None, later: float) -> frozenset[int]:
        clock.now += later
        return watch.look(View({"a": int(clock.now)}, {0: owner, 1: "a"}, {0: 1, 1: 1}), clock.now).forgotten

    assert look(None, 0) == frozenset()
    assert look("b", 9) == frozenset()
    assert look(None, 1) == {0}
    assert look("a", 1) == frozenset()
    assert look(None, 1) == frozenset()


def calm(world: World) -> None:
    """Everything is fair, stays so without a move, and never was wrong."""
    world.slow = 0.0
    world.run(8 * LEASE)
    assert world.unfair == []
    moves = world.table.moves
    world.run(8 * LEASE)
    assert world.table.moves == moves, "it goes on moving"
    assert world.table.problems == []


@pytest.mark.parametrize("seed", range(20))
def test_a_second_relay_gets_half_by_as_many_moves_and_a_third_stands_by(seed: int) -> None:
    world = World(seed, most=2)
    world.start()
    calm(world)
    assert world.table.moves == BUCKETS
    world.start()
    calm(world)
    assert world.table.moves == BUCKETS + BUCKETS // 2
    third = world.start()
    calm(world)
    assert world.table.moves == BUCKETS + BUCKETS // 2
    assert not third.member


def test_what_a_dead_relay_had_is_taken_after_its_lease_and_before_two() -> None:
    world = World(2, most=2)
    first, second = world.start(), world.start()
    calm(world)
    second.up = False
    world.run(0.6 * LEASE)
    assert world.counts == {first.name: 32}
    world.run(1.4 * LEASE)
    assert world.counts == {first.name: 64}


@pytest.mark.parametrize("seed", range(20))
def test_what_a_dead_relay_had_is_shared_by_the_others_by_as_many_moves(seed: int) -> None:
    world = World(seed, most=3)
    for _ in range(3):
        world.start()
    calm(world)
    dead = world.up[0]
    before, had = world.table.moves, world.counts[dead.name]
    dead.up = False
    calm(world)
    assert world.table.moves == before + had


def test_a_relay_that_starts_and_dies_again_and_again_moves_nothing() -> None:
    world = World(3, most=2)
    first = world.start()
    calm(world)
    for _ in range(20):
        other = world.start()
        world.run(0.8 * LEASE)
        assert other.member or world.counts[first.name] == BUCKETS
        other.up = False
    assert world.table.moves == BUCKETS
    calm(world)


def test_one_that_does_not_take_what_is_given_to_it_costs_a_share_for_a_while_only() -> None:
    world = World(4, most=2)
    first = world.start()
    calm(world)
    second = world.start()
    second._exchange = lambda view, living: None  # type: ignore[method-assign]
    world.run(40 * LEASE)
    whole = 0
    for _ in range(100):
        world.run(LEASE / 4)
        whole += world.counts[first.name] == BUCKETS
    assert whole > 30, "what nobody reads is not read for too long"


events = st.lists(
    st.tuples(
        st.sampled_from(["start", "stop", "kill", "pause", "steal", "nothing"]),
        st.integers(0, 100),
        st.floats(0.0, 2.5 * LEASE),
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.sampled_from([0.0, 0.02, 0.2]), events)
def test_relays_that_come_go_die_and_stand_still_end_in_fair_shares(
    seed: int, most: int, slow: float, events: list[tuple[str, int, float]]
) -> None:
    """Never a bucket of two at one epoch, never one taken from a relay that may publish, and no more moves than what
    happened is worth."""
    story(World(seed, most, slow), events)


def story(world: World, events: list[tuple[str, int, float]]) -> None:
    """What happens, then rest; an AssertionError where something is wrong."""
    world.start()
    changes = 1.0
    for what, which, seconds in events:
        changes += befall(world, what, which, seconds)
        world.run(seconds)
        changes += seconds / LEASE * 3 if world.slow else 0
    if not world.up:
        world.start()
    for each in world.up:
        each.until = world.now
    before = world.table.moves
    calm(world)
    assert world.table.moves - before <= BUCKETS * (2 + world.most + len(world.up))
    if not world.slow:
        assert world.table.moves <= BUCKETS * 3 * (changes + 1)


def told(seed: int) -> None:
    """A story from a seed."""
    chance = random.Random(seed)
    kinds = ["start", "start", "stop", "kill", "pause", "steal", "nothing"]
    events = [
        (chance.choice(kinds), chance.randint(0, 100), chance.uniform(0, 2.5 * LEASE)) for _ in range(20)
    ]
    story(World(seed, chance.randint(1, 5), chance.choice([0.0, 0.02, 0.2])), events)


def test_the_stories_as_they_are_break_nothing() -> None:
    for seed in range(60):
        told(seed)


def _impatient(self: Watch, view: View, asked: float) -> Living:
    return look(self, view, asked + self._lease / 2)


def _forgetful(me: str, view: View, epochs: Any, living: Living, movable: Any) -> Exchange:
    found = exchange(me, view, epochs, living, movable)
    return Exchange(tuple(bucket for bucket in found.take if view.owners[bucket] != me), found.give)


def _stingy(me: str, view: View, epochs: Any, living: Living, movable: Any) -> Exchange:
    return Exchange(exchange(me, view, epochs, living, movable).take)


@pytest.mark.parametrize(
    ("holder", "name", "mistake"),
    [
        (Watch, "look", _impatient),
        (shares, "exchange", _forgetful),
        (shares, "exchange", _stingy),
        (shares, "has_room", lambda _me, _living, _most: True),
    ],
)
def test_each_mistake_is_found_by_some_story(
    monkeypatch: pytest.MonkeyPatch, holder: object, name: str, mistake: object
) -> None:
    monkeypatch.setattr(holder, name, mistake)
    for seed in range(60):
        try:
            told(seed)
        except AssertionError:
            return
    pytest.fail("no story found it")


def befall(world: World, what: str, which: int, seconds: float) -> int:
    """One thing that happens; how many relays come, go or come back by it."""
    up = world.up
    if what == "start" or not up:
        world.start()
        return 1
    each = up[which % len(up)]
    if what == "stop":
        each.stop()
    elif what == "kill":
        each.up = False
    elif what == "pause":
        each.until = world.now + seconds
        return 2
    elif what == "steal":
        for bucket in range(which % BUCKETS):
            world.table.give(bucket)
            world.table.owners[bucket] = "thief"
    return 1


@pytest.mark.parametrize("most", range(1, 9))
@pytest.mark.parametrize("relays", [1, 2, 3, 5, 8, 50])
def test_any_number_of_relays_that_start_together_share_fairly(relays: int, most: int) -> None:
    world = World(relays * 100 + most, most)
    for _ in range(relays):
        world.start()
    calm(world)
    assert sum(each.member for each in world.relays.values()) == min(relays, most)
