"""Whatever fails, wherever the process ends and whoever takes over: each row is sent, held or left out as was said, and
the first occurrences of a key are in order."""

import asyncio
import random
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.outbox.delivery import Bar, Delivery, Policy
from agent.outbox.parked.keys import Limits
from agent.outbox.parked.shelf import Shelf
from agent.outbox.reader import Page
from agent.outbox.turns import Turns
from tests.unit.outbox.shelf_model import Process, World
from tests.unit.outbox.test_cursor import BUCKETS, Database

STEPS = [
    "begin",
    "write",
    "write",
    "end",
    "turn",
    "turn",
    "turn",
    "wait",
    "save",
    "replay",
    "steal",
    "zombie",
    "share",
    "other",
    "other",
    "mend",
]


class Story:
    def __init__(self, world: World) -> None:
        self.world = world
        self.process = Process(world)
        self.zombie: Process | None = None
        self.other: Process | None = None
        """Shares the buckets with the process, if there is one."""

    async def play(self, steps: list[str]) -> None:
        for step in steps:
            await self.one(step)
            check_saved(self.world)

    async def one(self, step: str) -> None:
        world = self.world
        if step in ("begin", "write", "end"):
            getattr(world.database, step)()
        elif step == "wait":
            world.clock.now += world.chance.choice([0.5, 3.0, 12.0])
        elif step == "save":
            self.process.save(1.0)
        elif step == "replay":
            for each in world.store.keys.values():
                each["state"] = "replaying"
        elif step == "share":
            self.share()
        elif step == "mend":
            # The service puts a key right.
            world.mended.update(world.chance.sample(range(1, 60), 4))
        else:
            await self.live(step)

    async def live(self, step: str) -> None:
        """A turn of somebody, or a new process."""
        world = self.world
        if step == "steal":
            self.zombie, self.process = self.process, Process(world)
        elif step == "zombie" and self.zombie is not None:
            if not await self.zombie.turn():
                self.zombie = None
        elif step == "other" and self.other is not None:
            if not await self.other.turn():
                self.other = None
                # What nobody has now.
                self.process.take([bucket for bucket in range(BUCKETS) if not self.process.owns(bucket)])
        elif step == "turn" and not await self.process.turn():
            self.process = Process(world, [bucket for bucket in range(BUCKETS) if not self.is_others(bucket)])

    def is_others(self, bucket: int) -> bool:
        return self.other is not None and self.other.owns(bucket)

    def share(self) -> None:
        """One of two gives some buckets to the other one."""
        if self.other is None:
            self.other = Process(self.world, ())
        giver, taker = self.world.chance.sample([self.process, self.other], 2)
        wanted = self.world.chance.sample(range(BUCKETS), self.world.chance.randint(1, BUCKETS))
        taker.take(giver.give(wanted))

    async def end(self) -> None:
        """The broker heals, nobody ends any more, and all is asked to be sent."""
        world = self.world
        world.healed, world.risk = True, 0.0
        while world.database.open:
            world.database.end()
        for _ in range(400):
            await self.one("replay")
            world.clock.now += 70.0
            await self.one("turn")
            await self.one("other")
            for each in (self.process, self.other):
                if each is not None:
                    each.save(1.0)
            check_saved(world)
            if not world.store.keys and self.is_through():
                return
        raise AssertionError(f"it does not come to its end: {world.store}")

    def is_through(self) -> bool:
        wanted = {
            number for number, xid, _ in self.world.database.rows if xid in self.world.database.committed
        }
        return wanted <= done(self.world)


async def passed(_self: Turns, _page: Page, _buckets: Collection[int]) -> None:
    """Set nothing aside."""


def done(world: World) -> set[int]:
    """Rows that were sent, or recorded as left out."""
    return {number for _, number in world.arrived} | world.store.skipped


def check_saved(world: World) -> None:
    """What cleanup may delete is acknowledged or left out: held rows it may not."""
    held = {each.row for each in world.store.rows}
    lost = world.store.covered(world.database) - held - done(world)
    assert not lost, f"saved as done, and neither sent nor held: {sorted(lost)}"


def check_history(world: World) -> None:
    committed = {number for number, xid, _ in world.database.rows if xid in world.database.committed}
    sent = {number for _, number in world.arrived}
    assert sent <= committed
    assert committed <= done(world)
    newest: dict[str, int] = {}
    # Nothing tells what a row whose key can't be read must not overtake.
    unordered = {str(key) for number, _, key in world.database.rows if is_odd(world, number)}
    for key, number in dict.fromkeys(world.arrived):
        if key in unordered:
            continue
        assert number > newest.get(key, 0), f"row {number} of the key {key} came after {newest[key]}"
        newest[key] = number


def is_odd(world: World, number: int) -> bool:
    """Whether the row's key could not be read at first."""
    return random.Random(f"odd {number}").random() < world.odd


async def tell(world: World, steps: list[str]) -> None:
    story = Story(world)
    await story.play(steps)
    await story.end()
    check_history(world)


def world_of(
    seed: int,
    policy: Policy = "park",
    *,
    risk: float = 0.03,
    page: int = 4,
    bound: int = 50,
    odd: float = 0.0,
) -> World:
    chance = random.Random(seed)
    return World(Database(chance), chance, risk, policy, Limits(bound, bound * 3), page, odd=odd)


@settings(max_examples=250, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from(["park", "park", "skip", "block"]),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.02, 0.1]),
    st.sampled_from([2, 50]),
    st.sampled_from([0.0, 0.0, 0.03, 0.2]),
    st.lists(st.sampled_from(STEPS), max_size=150),
)
def test_each_row_is_sent_or_held_and_first_occurrences_are_in_order(
    seed: int, policy: Policy, page: int, risk: float, bound: int, odd: float, steps: list[str]
) -> None:
    asyncio.run(tell(world_of(seed, policy, risk=risk, page=page, bound=bound, odd=odd), steps))


def stories(count: int) -> list[tuple[int, list[str]]]:
    return [(seed, random.Random(seed).choices(STEPS, k=150)) for seed in range(count)]


def is_found(seeds: int = 60, odd: float = 0.0) -> bool:
    """Whether some story breaks what must hold."""
    for seed, steps in stories(seeds):
        try:
            asyncio.run(tell(world_of(seed, risk=0.08, odd=odd), steps))
        except AssertionError:
            return True
    return False


def test_the_stories_as_they_are_break_nothing() -> None:
    assert not is_found()
    assert not is_found(odd=0.2)


def test_a_row_without_a_key_to_be_read_that_others_pass_before_it_is_kept_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Turns, "_set_alone", passed)
    assert is_found(odd=0.2)


def test_such_a_row_that_only_the_owner_of_some_bucket_sets_aside_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be mended before that one comes to it, and is another's then, who has passed it."""
    kept = Turns._set_alone

    async def of_mine(self: Turns, page: Page, buckets: Collection[int]) -> Bar | None:
        mine = [each for each in page.keyless if each.id % BUCKETS in self.cursor.places]
        return await kept(self, replace(page, keyless=tuple(mine)), buckets) if mine else None

    monkeypatch.setattr(Turns, "_set_alone", of_mine)
    assert is_found(seeds=200, odd=0.2)


def test_a_place_that_moves_before_the_append_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Shelf.keep

    async def early(self: Shelf, delivery: Delivery) -> None:
        asides = delivery.aside()
        delivery.kept([each.number for each in asides])
        delivery._undecided.update(each.number for each in asides)
        await kept(self, delivery)

    monkeypatch.setattr(Shelf, "keep", early)
    assert is_found(seeds=400)  # few stories end between the two


def test_a_key_that_is_forgotten_while_it_has_rows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shelf, "_is_known", lambda self, event: False)
    assert is_found()


def test_rows_of_a_parked_key_that_are_sent_past_it_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_first(self: Delivery, line: Any, verdict: Any, reason: str, delay: float) -> None:
        number = line.popleft()
        self._put(number, verdict, reason, delay)
        if (follower := self._next(line)) is not None:
            self._first.append(follower)

    monkeypatch.setattr(Delivery, "_divert", only_first)
    assert is_found()


def test_a_row_that_was_left_out_is_left_out_again_after_a_crash() -> None:
    """What followed it is out: it would come behind that if the broker took it now."""

    async def told() -> World:
        world = world_of(1, "skip", risk=0.0)
        refused = next(number for number in range(1, 99) if world.verdict(number) == "refused")
        taken = next(number for number in range(refused, 99) if world.verdict(number) == "taken")
        world.database.rows = [(refused, 3, 0), (taken, 3, 0)]
        world.database.committed, world.database.completed, world.database.next_xid = {3}, 3, 4
        assert await Process(world).turn()
        assert world.arrived == [("0", taken)]
        assert world.store.skipped == {refused}
        world.store.places = World(world.database, world.chance, 0, "skip", Limits(9, 9), 9).store.places
        world.healed = True
        assert await Process(world).turn()
        return world

    check_history(asyncio.run(told()))


def test_keys_that_were_set_aside_while_a_bucket_was_away_are_known_when_it_is_back() -> None:
    """Though the relay made no turn in between and has the same buckets as before."""

    async def told() -> World:
        world = world_of(1, risk=0.0)
        refused = next(number for number in range(1, 99) if world.verdict(number) == "refused")
        taken = next(number for number in range(refused, 99) if world.verdict(number) == "taken")
        one, other = Process(world), Process(world, ())
        assert await one.turn()
        other.take(one.give([0]))
        world.database.rows = [(refused, 3, 0)]
        world.database.committed, world.database.completed, world.database.next_xid = {3}, 3, 4
        assert await other.turn()
        assert [each.row for each in world.store.rows] == [refused]
        one.take(other.give([0]))
        world.database.rows.append((taken, 4, 0))
        world.database.committed, world.database.completed, world.database.next_xid = {3, 4}, 4, 5
        assert await one.turn()
        assert [each.row for each in world.store.rows] == [refused, taken]
        return world

    assert asyncio.run(told()).arrived == []
