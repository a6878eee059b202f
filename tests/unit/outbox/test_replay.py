"""Replays that have no end: because the process ended, or because only the database went."""

from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.outbox.parked.ledger import Due, HeldRow, Outcome
from agent.outbox.parked.replay import Replay
from agent.outbox.parked.shelf import POISON
from agent.runtime.errors import Transient
from tests.unit.outbox.test_events import maker


class Ledger:
    """One key with no rows left, whose replay the database never lets end."""

    def __init__(self) -> None:
        self.tries = 0
        self.parked: list[str] = []

    async def due(self, *_: object, held: bool) -> list[Due]:
        return [Due("a", 1, "replaying", 0, self.tries)] if held else []

    async def begin(self, *_: object) -> list[HeldRow]:
        self.tries += 1
        return []

    async def take_back(self, noted: Counter[str]) -> None:
        self.tries = max(self.tries - noted["a"], 0)

    async def settle(self, _due: object, _sent: object, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            raise Transient("the database went")
        self.parked += [str(each.reason) for each in outcomes]


async def nothing(*_: object) -> list[Any]:
    return []


def owner(ledger: Ledger, noted: Counter[str]) -> Replay:
    """An ownership of the process whose notes these are."""
    shelf = SimpleNamespace(keys={"a": None}, buckets=frozenset({1}), ledger=ledger)
    reader = SimpleNamespace(named=nothing)
    return Replay(cast("Any", shelf), cast("Any", reader), maker(), lambda: 1.0, 10, noted=noted)


async def cut(replay: Replay) -> None:
    """A step that the database's end cuts off."""
    with pytest.raises(Transient):
        await replay.step(cast("Any", SimpleNamespace(carry=nothing)), cast("Any", None))


async def test_a_key_whose_replays_only_the_database_cut_off_is_never_taken_for_poison() -> None:
    ledger, noted = Ledger(), Counter[str]()
    for _ in range(10):
        await cut(owner(ledger, noted))
    assert ledger.parked == []
    assert ledger.tries == 1


async def test_a_key_at_which_three_processes_ended_is_parked() -> None:
    ledger = Ledger()
    for _ in range(3):
        await cut(owner(ledger, Counter()))
    await owner(ledger, Counter()).step(cast("Any", None), cast("Any", None))
    assert ledger.parked == [POISON]
