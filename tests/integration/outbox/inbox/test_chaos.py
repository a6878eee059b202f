"""The short form of ``make chaos-inbox``: every kind of fault once, while three writers publish."""

import random
from pathlib import Path

import pytest

from tests.chaos.inbox import LASTING, run
from tests.chaos.plan import dealt

SEED, SECONDS = 5, 16.0


def test_the_short_plan_has_every_kind_of_fault() -> None:
    assert {each.kind for each in dealt(random.Random(SEED), SECONDS, LASTING)} == set(LASTING)


@pytest.mark.exclusive
@pytest.mark.timeout(200)
async def test_under_every_kind_of_fault_each_message_is_worked_on_in_order(short_folder: Path) -> None:
    verdict = await run(SEED, SECONDS, short_folder, print)
    assert verdict.problems == [], str(verdict)
    assert verdict.changes > 100
