"""The cursor against a model of PostgreSQL: whatever commits when, and wherever a relay dies, nothing is
lost or inverted."""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.outbox.cursor import Cursor, Place, Walk
from agent.outbox.delivery import Delivery
from agent.outbox.events import Event
from agent.outbox.snapshot import Snapshot

BUCKETS = 4
KEYS = 8
NOTHING = Snapshot(3, 3)


@dataclass
class Transaction:
    """An open transaction and the keys that it has locked."""

    xid: int
    keys: set[int] = field(default_factory=set)


@dataclass
class Database:
    """Transactions and rows as PostgreSQL sees them; a key is locked by who writes it until that one ends."""

    chance: random.Random
    next_xid: int = 3
    completed: int = 2
    next_id: int = 1
    open: list[Transaction] = field(default_factory=list)
    committed: set[int] = field(default_factory=set)
    rows: list[tuple[int, int, int]] = field(default_factory=list)
    """Number, transaction, key."""

    def begin(self) -> None:
        self.open.append(Transaction(self.next_xid))
        self.next_xid += 1

    def write(self) -> None:
        free = set(range(KEYS)) - {key for each in self.open for key in each.keys}
        if not self.open:
            return
        one = self.chance.choice(self.open)
        for key in self.chance.sample(sorted(free | one.keys), k=min(3, len(free | one.keys))):
            one.keys.add(key)
            self.rows.append((self.next_id, one.xid, key))
            self.next_id += 1

    def end(self) -> None:
        if self.open:
            one = self.open.pop(self.chance.randrange(len(self.open)))
            self.completed = max(self.completed, one.xid)
            if self.chance.random() < 0.8:
                self.committed.add(one.xid)

    def snapshot(self) -> Snapshot:
        xip = tuple(sorted(each.xid for each in self.open if each.xid <= self.completed))
        return Snapshot(min(xip, default=self.completed + 1), self.completed + 1, xip)

    def visible(self, buckets: Collection[int], seen: Callable[[int], bool]) -> list[tuple[int, int, int]]:
        return [
            row
            for row in self.rows
            if row[2] % BUCKETS in buckets and row[1] in self.committed and seen(row[1])
        ]


class Relay:
    """A relay that may die between any two acknowledgements."""

    def __init__(self, database: Database, page: int) -> None:
        self.database = database
        self.page = page
        self.saved = dict.fromkeys(range(BUCKETS), Place(NOTHING))
        self.arrived: list[tuple[int, int]] = []
        self.cursor = Cursor(self.saved)
        self.stopped: dict[int, int] = {}

    def die(self) -> None:
        self.cursor = Cursor(self.saved)
        self.stopped = {}

    def save(self) -> None:
        self.saved = dict(self.cursor.places)

    def turn(self, *, fail: bool) -> None:
        chance = self.database.chance
        resting = {bucket for bucket in range(BUCKETS) if fail and chance.random() < 0.2}
        for tick in self.cursor.stragglers(resting):
            self.cursor.start(tick.buckets, tick.base, tick.target, 0)
        for walk in self.cursor.walks(resting, dict(self.stopped)):
            self.walk(walk, fail=fail)
        poll = self.cursor.poll(resting)
        if poll is None:
            return
        seen = self.database.snapshot()
        rows = self.database.visible(poll.buckets, lambda xid: seen.sees(xid) and not poll.base.sees(xid))
        if len(rows) > self.page:
            self.cursor.start(poll.buckets, poll.base, seen, min(row[0] for row in rows) - 1)
            return
        self.cursor.move(self.cursor.polled(poll, seen, self.publish(rows, fail=fail)))

    def walk(self, walk: Walk, *, fail: bool) -> None:
        rows = self.database.visible(
            walk.buckets, lambda xid: walk.target.sees(xid) and not walk.base.sees(xid)
        )
        rows = sorted(row for row in rows if walk.after < row[0] <= (walk.until or row[0]))[: self.page]
        last = rows[-1][0] if len(rows) == self.page else walk.until
        wanted = [row for row in rows if self.cursor.wants(row[2] % BUCKETS, row[0])]
        self.cursor.move(self.cursor.walked(walk, last, self.publish(wanted, fail=fail)))

    def publish(self, rows: list[tuple[int, int, int]], *, fail: bool) -> dict[int, int]:
        chance = self.database.chance
        delivery = Delivery([event(row, key) for row, _, key in sorted(rows)])
        flying = delivery.start()
        while flying:
            if fail and chance.random() < 0.05:
                break
            number = flying.pop(chance.randrange(len(flying)))
            if fail and chance.random() < 0.05:
                delivery.refuse(number, "no")
                continue
            self.arrived.append((int(delivery.events[number].key or 0), delivery.events[number].row))
            follower = delivery.acknowledge(number)
            if follower is not None:
                flying.append(follower)
        for bucket in {row[2] % BUCKETS for row in rows}:
            self.stopped.pop(bucket, None)
        self.stopped.update({bucket: delivery.unfinished()[bucket] for bucket in delivery.reasons})
        return delivery.unfinished()


def event(row: int, key: int | None) -> Event:
    name = None if key is None else str(key)
    bucket = row % BUCKETS if key is None else key % BUCKETS
    return Event(row, bucket, name, "t", str(row), "/s", "t", "", "", "", "", "", b"")


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 6),
    st.lists(
        st.sampled_from(["begin", "write", "write", "end", "turn", "turn", "save", "die", "snap"]),
        max_size=250,
    ),
)
def test_all_that_is_committed_arrives_in_the_order_of_its_key(
    seed: int, page: int, story: list[str]
) -> None:
    database = Database(random.Random(seed))
    relay = Relay(database, page)
    for step in story:
        if step in ("begin", "write", "end"):
            getattr(database, step)()
        elif step == "turn":
            relay.turn(fail=True)
        elif step != "snap":
            getattr(relay, step)()
    while database.open:
        database.end()
    for _ in range(200 + 3 * len(story)):
        relay.turn(fail=False)
    check(database, relay)
    assert len({place.base for place in relay.cursor.places.values()}) == 1, (
        "buckets that stopped never came together again"
    )


def check(database: Database, relay: Relay) -> None:
    wanted = {(key, row) for row, xid, key in database.rows if xid in database.committed}
    assert set(relay.arrived) == wanted
    newest: dict[int, int] = {}
    for key, row in dict.fromkeys(relay.arrived):
        assert row > newest.get(key, 0), "a key's first occurrences are out of order"
        newest[key] = row


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(["begin", "end"]), max_size=60))
def test_a_later_snapshot_sorts_later_and_sees_all_that_an_earlier_one_sees(
    seed: int, story: list[str]
) -> None:
    database = Database(random.Random(seed))
    before = database.snapshot()
    for step in story:
        getattr(database, step)()
        after = database.snapshot()
        assert after.age >= before.age
        assert all(after.sees(xid) for xid in range(3, database.next_xid) if before.sees(xid))
        assert Snapshot.parse(str(after)) == after
        before = after


def test_half_a_tick_that_failed_stays_a_tick() -> None:
    """The rows of a poll that were not acknowledged are asked for again even when they are older than the
    next poll's."""
    cursor = Cursor({0: Place(NOTHING), 1: Place(NOTHING)})
    poll = cursor.poll()
    assert poll is not None
    seen = Snapshot(10, 10)
    places = cursor.polled(poll, seen, {1: 7})
    assert places == {0: Place(seen), 1: Place(NOTHING, seen, 6)}


@pytest.mark.parametrize("last", [None, 20])
def test_a_stopped_bucket_does_not_hold_its_group(last: int | None) -> None:
    target = Snapshot(10, 10)
    cursor = Cursor({0: Place(NOTHING, target, 3), 1: Place(NOTHING, target, 3)})
    (walk,) = cursor.walks()
    places = cursor.walked(walk, last, {1: 8})
    assert places[0] == (Place(target) if last is None else Place(NOTHING, target, 20))
    assert places[1] == Place(NOTHING, target, 7)


def test_a_stopped_bucket_is_tried_again_alone_and_only_up_to_the_row_that_stopped_it() -> None:
    target = Snapshot(10, 10)
    cursor = Cursor(
        {0: Place(NOTHING, target, 3), 1: Place(NOTHING, target, 7), 2: Place(NOTHING, target, 3)}
    )
    group, again = cursor.walks((), {1: 8})
    assert group == Walk(frozenset({0, 2}), NOTHING, target, 3)
    assert again == Walk(frozenset({1}), NOTHING, target, 7, 8)
    assert cursor.walked(again, 8, {}) == {1: Place(NOTHING, target, 8)}


def test_buckets_that_one_row_stopped_are_tried_again_together_and_last() -> None:
    target = Snapshot(10, 10)
    cursor = Cursor({bucket: Place(NOTHING, target, 3 + bucket) for bucket in range(5)})
    assert cursor.walks((), {0: 8, 2: 8, 3: 9}) == [
        Walk(frozenset({1, 4}), NOTHING, target, 4),
        Walk(frozenset({0, 2}), NOTHING, target, 3, 8),
        Walk(frozenset({3}), NOTHING, target, 6, 9),
    ]


@pytest.mark.parametrize(
    ("text", "xid", "expected"),
    [
        ("10:20:12,15", 13, "10:20:12,13,15"), ("10:20:12", 7, "7:20:7,12"), ("10:20:12", 12, "10:20:12"),
        ("10:20:12", 20, "10:20:12"), ("10:20:12", 25, "10:20:12"),
    ],
)  # fmt: skip
def test_a_snapshot_can_be_blind_to_one_transaction_more(text: str, xid: int, expected: str) -> None:
    found = Snapshot.parse(text).without(xid)
    assert str(found) == expected
    assert not found.sees(xid)
