"""The walk of `pillion demo`, in containers."""

import io

from rich.console import Console

from agent.demo.report import Report
from agent.demo.steps import STEPS
from agent.demo.walk import walk
from tests.compose.system import ComposeSystem
from tests.record import Record


async def test_every_step_of_the_walk_passes(system: ComposeSystem, record: Record) -> None:
    said = io.StringIO()
    results = await walk(system, Report(Console(file=said, width=140)), STEPS)
    record.table("Walk", ["step", "", "seen"])
    for name, passed, seen in results:
        record.row([name, "PASS" if passed else "FAIL", seen])
    assert [name for name, passed, _ in results if not passed] == [], said.getvalue()
