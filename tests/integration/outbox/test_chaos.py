"""The short form of ``make chaos``: every kind of fault once, while fourteen writers run."""

from pathlib import Path

import pytest

from tests.chaos.plan import LASTING, plan
from tests.chaos.run import run


@pytest.mark.exclusive
@pytest.mark.timeout(280)
async def test_under_every_kind_of_fault_nothing_is_lost_invented_or_inverted(server_folder: Path) -> None:
    report = await run(plan(4, 44.0), server_folder / "chaos", print, pages=10)
    assert report.problems == [], str(report)
    assert set(report.faults) | set(report.left) == set(LASTING)
    assert all(verdict.duplicates for verdict in report.verdicts.values()), "nothing was cut short: no proof"
