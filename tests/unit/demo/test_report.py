"""What the demo prints where there is no terminal."""

import io

from rich.console import Console

from agent.demo import report


def written() -> tuple[report.Report, io.StringIO]:
    """A report without a terminal and what it writes to."""
    file = io.StringIO()
    return report.Report(Console(file=file, width=80)), file


def test_long_work_says_a_line_at_its_start_and_now_and_then() -> None:
    shown, file = written()
    lines = report._Lines(shown.say, "building", began=0.0)
    lines._last = float("inf")
    lines("too early")
    lines._last = float("-inf")
    lines("package x")
    assert "too early" not in file.getvalue()
    assert "package x" in file.getvalue()


def test_what_servers_say_is_never_taken_for_markup() -> None:
    shown, file = written()
    shown.saw("a [bold]body[/] and [/wrong]")
    assert "a [bold]body[/] and [/wrong]" in file.getvalue()


def test_the_table_names_every_step_with_its_result() -> None:
    shown, file = written()
    shown.table([("Routing", True, "fine"), ("Outbox", False, "no [event]")])
    routing, outbox = (line for line in file.getvalue().splitlines() if "Routing" in line or "Outbox" in line)
    assert "PASS" in routing
    assert "FAIL" in outbox
    assert "no [event]" in outbox
