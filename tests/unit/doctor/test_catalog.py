"""The list of findings is whole, its page is fresh, and each has a test that provokes it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.doctor import catalog, docs
from agent.doctor.machine.agent import WHERE

ROOT = Path(__file__).parents[3]
ENTRIES = [(part.title, entry) for part in catalog.PARTS for entry in part.entries]
SOURCES = [
    *(path for path in (ROOT / "agent" / "doctor").rglob("*.py") if path.parent.name != "catalog"),
    *(ROOT / "agent" / "outbox" / "checkup").glob("*.py"),
    *(ROOT / "agent" / "wiring").glob("*doctor*.py"),
    ROOT / "agent" / "cli" / "doctor.py",
]
ID = re.compile(r"[a-z]+\.[a-z-]+")


def test_the_page_is_fresh() -> None:
    """After a change of the catalogue: make docs."""
    assert (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8") == docs.page()


def test_no_id_is_there_twice() -> None:
    ids = [entry.id for _, entry in ENTRIES]
    assert len(ids) == len(set(ids))


def test_every_entry_says_what_to_do() -> None:
    assert [entry.id for _, entry in ENTRIES if not entry.todo or not (entry.problem or entry.warning)] == []


def _used() -> Iterator[tuple[str, str]]:
    """Ids in calls of the constructors of findings, with the level's name; ``*`` where that is decided there."""
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args:
                yield from _of_call(node, names)


def _of_call(node: ast.Call, names: dict[str, object]) -> Iterator[tuple[str, str]]:
    first = node.args[0]
    id_ = names.get(first.id) if isinstance(first, ast.Name) else getattr(first, "value", None)
    if not isinstance(id_, str) or not ID.fullmatch(id_):
        return
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    if name == "Remark":
        level = node.args[1]
        yield id_, str(level.value) if isinstance(level, ast.Constant) else "*"
    elif name in {"ok", "absent", "warning", "problem"}:
        yield id_, name
    elif name in {"make", "state", "_valid"}:
        yield id_, "*"


def test_every_finding_of_the_code_is_in_the_catalogue_with_its_level() -> None:
    used = set(_used())
    known = {entry.id for _, entry in ENTRIES}
    assert {id_ for id_, _ in used} == known
    for _, entry in ENTRIES:
        levels = {level for id_, level in used if id_ == entry.id}
        if "*" not in levels:
            assert bool(entry.problem) == ("problem" in levels) or entry.id in FAILS, entry.id
            assert bool(entry.warning) == ("warning" in levels), entry.id


PART = re.compile(r'board\.of\("([a-z_]+)"\)')
INJECTORS = {"injector.py", "sweep.py"}


def test_of_each_part_of_an_agent_it_is_said_where_to_look() -> None:
    wiring = (path for path in (ROOT / "agent" / "wiring").glob("*.py") if path.name not in INJECTORS)
    parts = {name for path in wiring for name in PART.findall(path.read_text(encoding="utf-8"))}
    assert parts - {"hook"} == set(WHERE)


MARK = re.compile(r'^@pytest\.mark\.provokes\("([a-z.-]+)", "(problem|warning)"\)$', re.MULTILINE)
FAILS = {"kubernetes.version"}
"""Ids of checks whose failure to look is itself meant."""
ALSO = {"outbox.broker"}


def _provoked() -> set[tuple[str, str]]:
    """What the tests mark as provoked: ``@pytest.mark.provokes("consul.rights", "problem")``."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        found |= set(MARK.findall(text))
    return found


@pytest.mark.parametrize(
    ("id_", "level"),
    [
        (entry.id, level)
        for title, entry in ENTRIES
        for level in ("problem", "warning")
        if getattr(entry, level) and (entry.id in ALSO or title not in {"Kubernetes", "The outbox"})
    ],
)
def test_each_finding_of_a_machine_has_a_test_that_provokes_it(id_: str, level: str) -> None:
    """Kubernetes' are in ``test_rules``, those of the outbox's database in ``outbox/test_checkup``."""
    assert (id_, level) in _provoked()
