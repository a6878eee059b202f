"""When the service is told of changed values, and what outlives the agent."""

import itertools
import json
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from agent.config.sections.store import Store as Settings
from agent.model.store import Entry, Store
from agent.registry import delivery
from agent.registry.delivered import Delivered
from agent.registry.delivery import Delivery
from agent.registry.metrics import Metrics
from agent.registry.references import References
from agent.runtime.errors import Transient
from agent.runtime.health import Board
from agent.runtime.journal import Journal
from agent.runtime.latest import Latest


class World:
    """A delivery and whom it tells."""

    def __init__(self, folder: Path, *, action: str = "signal", references: References | None = None) -> None:
        self.store = Latest(Store())
        self.runs = True
        self.told: list[tuple[str, str]] = []
        self.done = True
        self.fails = False
        self.board = Board(lambda: 0.0)
        self.journal = Journal(partial(next, itertools.count()))
        self.delivered = Latest(Store())
        self.kept = folder / "delivered.json"
        self.delivery = Delivery(
            self.store, Settings(action=action, file=str(folder / "app.env")), self._act, lambda: self.runs, self.kept,
            health=self.board.of("delivery"), metrics=Metrics(CollectorRegistry()), journal=self.journal,
            references=references, delivered=self.delivered,
        )  # fmt: skip

    async def _act(self, before: str, after: str) -> bool:
        self.told.append((before, after))
        if self.fails:
            raise Transient("busy")
        return self.done

    def put(self, **values: str) -> None:
        entries = {key: Entry(1, text.encode()) for key, text in values.items()}
        self.store.set(Store(entries, self.store.value.index + 1))

    async def turn(self) -> bool:
        return await self.delivery.turn()

    def noted(self) -> list[tuple[str, str]]:
        return [(one.outcome, one.detail) for one in reversed(self.journal.newest)]


async def test_a_running_service_is_told_once_of_a_change(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert await world.turn()
    assert not world.told
    world.put(a="1")
    assert await world.turn()
    assert await world.turn()
    assert len(world.told) == 1
    assert world.noted() == [("accepted", "a")]


async def test_a_change_that_comes_back_before_anybody_was_told_is_none(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.runs = False
    world.put(a="1")
    await world.turn()
    world.runs = True
    world.put(a="2")
    world.put(a="1")
    await world.turn()
    assert not world.told


async def test_an_action_that_takes_its_time_is_asked_until_it_is_done_also_for_what_comes_back(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, action="restart")
    world.runs = False
    world.put(a="1")
    await world.turn()
    world.runs, world.done = True, False
    world.put(a="2")
    await world.turn()
    world.runs = False  # between end and start of the service
    world.put(a="1")
    await world.turn()
    (old, new), (before, after) = world.told
    assert (before, after) == (old, old)
    assert new != old
    world.runs = world.done = True
    await world.turn()
    await world.turn()
    assert len(world.told) == 3


async def test_what_failed_half_way_is_done_over_even_if_the_values_came_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(a="1")
    await world.turn()
    world.fails = True
    world.put(a="2")
    assert not await world.turn()
    assert not await world.turn()
    world.fails = False
    world.put(a="1")
    assert await world.turn()
    assert len(world.told) == 4
    assert world.noted() == [("accepted", "a"), ("refused", "not delivered: busy"), ("accepted", "a")]


async def test_an_agent_that_ends_before_the_service_was_told_leaves_that_to_the_next(tmp_path: Path) -> None:
    first = World(tmp_path, action="restart")
    first.runs = False
    first.put(a="1")
    await first.turn()
    first.runs, first.done = True, False
    first.put(a="2")
    await first.turn()
    second = World(tmp_path, action="restart")
    second.put(a="2")
    second.delivery._kept.load()
    await second.turn()
    assert len(second.told) == 1
    third = World(tmp_path, action="restart")
    third.put(a="2")
    third.delivery._kept.load()
    await third.turn()
    assert not third.told


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[]", b'{"hash": "x", "body": "{}"}', b"\xff", b"[" * 100000]
)
def test_a_damaged_file_counts_for_nothing_delivered(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "kept").write_bytes(damage)
    delivered = Delivered(tmp_path / "kept")
    delivered.load()
    assert delivered.values == {}
    assert delivered.told == delivered.stamp({})


async def test_a_secret_is_delivered_and_never_kept_and_its_change_is_told(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "password").write_text("hunter2\n")
    references = References([str(secrets)], now=lambda: 4e9)
    world = World(tmp_path, references=references)
    world.put(password=f"file:{secrets}/password", limit="1")
    assert await world.turn()
    assert (tmp_path / "app.env").read_text() == "LIMIT=1\nPASSWORD=hunter2\n"
    assert world.delivered.value.entries["password"].value == b"hunter2"
    assert "hunter2" not in world.kept.read_text()
    (secrets / "password").write_text("hunter3")
    assert await world.turn()
    assert len(world.told) == 2
    assert "PASSWORD=hunter3" in (tmp_path / "app.env").read_text()
    assert world.noted() == [("accepted", "limit, password"), ("accepted", "password")]
    (secrets / "password").unlink()
    assert await world.turn()
    assert len(world.told) == 2
    assert "what it held last stays in use" in world.board.reports["delivery"].detail


async def test_an_agent_that_restarts_beside_the_service_tells_it_of_a_secret_that_changed_meanwhile(
    tmp_path: Path,
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "password").write_text("hunter2")
    for text, told in (("hunter2", 1), ("hunter2", 0), ("hunter3", 1)):
        (secrets / "password").write_text(text)
        world = World(tmp_path, references=References([str(secrets)], now=lambda: 4e9))
        world.put(password=f"file:{secrets}/password")
        world.delivery._kept.load()
        await world.turn()
        assert len(world.told) == told


async def test_a_reference_to_nothing_keeps_what_stood_there_before(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "password").write_text("hunter2")
    world = World(tmp_path, references=References([str(secrets)], now=lambda: 4e9))
    world.put(password=f"file:{secrets}/password")
    await world.turn()
    world.put(password=f"file:{secrets}/pasword", other="file:/etc/shadow")
    assert await world.turn()
    assert (tmp_path / "app.env").read_text() == "PASSWORD=hunter2\n"
    said = world.board.reports["delivery"].detail
    assert "pasword, which can't be read" in said
    assert "other refers to /etc/shadow, which is below none of store.secret_dirs" in said


def test_what_is_delivered_keeps_the_stores_marks() -> None:
    store = Store({"a": Entry(4, b"file:/x", shared=True), "b": Entry(5, b"2")}, 5)
    made = delivery.given({"a": "secret", "gone": "1"}, store)
    assert made.entries == {"a": Entry(4, b"secret", shared=True), "gone": Entry(1, b"1")}


async def test_the_file_of_what_was_delivered_is_for_its_user_only(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put(a="1")
    await world.turn()
    assert world.kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(json.loads(world.kept.read_text())["body"])["values"] == {"a": "1"}
