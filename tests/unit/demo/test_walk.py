"""The walk goes on after a failure and forgets none."""

import io
from types import SimpleNamespace
from typing import Any, cast

from rich.console import Console

from agent.demo.report import Report
from agent.demo.walk import Scene, walk


async def test_a_failed_step_is_reported_and_stops_no_other() -> None:
    async def fails(scene: Scene) -> str:
        raise KeyError("what came instead")

    async def passes(scene: Scene) -> str:
        return "seen"

    file = io.StringIO()
    system = cast("Any", SimpleNamespace(gateway="http://127.0.0.1:1"))
    report = Report(Console(file=file, width=100))
    results = await walk(system, report, [("one", fails), ("two", passes)])
    assert [(name, passed) for name, passed, _ in results] == [("one", False), ("two", True)]
    assert "what came instead" in results[0][2]
    assert "FAIL" in file.getvalue()
