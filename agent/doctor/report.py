"""Findings as a text or as plain data. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from agent.doctor.finding import Finding, Level
from agent.runtime.words import plain

MARKS = {Level.OK: "ok", Level.NOT_APPLICABLE: "-", Level.WARNING: "warning", Level.PROBLEM: "problem"}


def is_well(findings: Sequence[Finding]) -> bool:
    """Whether nothing is wrong: warnings are no reason to fail."""
    return not any(one.level is Level.PROBLEM for one in findings)


def data(findings: Sequence[Finding]) -> dict[str, Any]:
    """For `--json`."""
    rows = [
        {"id": one.id, "level": one.level.value, "subject": one.subject, "found": one.found, "todo": one.todo}
        for one in findings
    ]
    return {"ok": is_well(findings), "findings": rows}


def lines(findings: Sequence[Finding]) -> Iterator[tuple[Level, str]]:
    """The text, line by line, each with the level that colours it; in the order of the checks."""
    width = max((len(one.id) for one in findings), default=0)
    for one in findings:
        yield one.level, plain(f"{MARKS[one.level]:<8} {one.id:<{width}}  {one.subject}: {one.found}")
        if one.todo:
            yield one.level, plain(f"{'':<8} {'':<{width}}  -> {one.todo}")


def summary(findings: Sequence[Finding]) -> str:
    """The last line."""
    counts = {level: sum(one.level is level for one in findings) for level in Level}
    wrong = [f"{counts[level]} {_many(level, counts[level])}" for level in (Level.PROBLEM, Level.WARNING)]
    return f"{', '.join(wrong)}, {counts[Level.OK]} ok"


def _many(level: Level, count: int) -> str:
    return level.value if count == 1 else f"{level.value}s"
