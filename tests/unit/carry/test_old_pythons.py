"""What the hook may use: the oldest Python's syntax, the standard library, nothing slow at start-up."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.carry import SITE

FILES = sorted(SITE.rglob("*.py"))
FIRST = ("sitecustomize", "hook", "faults", "__init__")
"""Modules that every Python process of the service loads."""


def imports(tree: ast.Module) -> Iterator[str]:
    """The top-level names of absolute imports outside ``if TYPE_CHECKING``."""
    checked = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ]
    skipped = {id(inner) for node in checked for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_valid_on_python_3_8(file: Path) -> None:
    ast.parse(file.read_text(), feature_version=(3, 8))


def test_what_an_even_older_python_loads_has_nothing_that_it_can_not_read() -> None:
    """2.7 and 3.6 run ``sitecustomize`` as well; its types stand in comments."""
    tree = ast.parse((SITE / "sitecustomize.py").read_text())
    newer = (ast.AnnAssign, ast.JoinedStr, ast.NamedExpr, ast.Nonlocal, ast.AsyncFunctionDef, ast.Starred)
    for node in ast.walk(tree):
        assert not isinstance(node, newer)
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None
            assert not any(argument.annotation for argument in node.args.args)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_annotations_are_never_evaluated(file: Path) -> None:
    """``X | None`` is no expression on 3.8."""
    if any(
        isinstance(node, ast.FunctionDef) and node.args.args for node in ast.walk(ast.parse(file.read_text()))
    ):
        assert "from __future__ import annotations" in file.read_text()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_only_the_standard_library_is_imported(file: Path) -> None:
    found = {name.partition(".")[0] for name in imports(ast.parse(file.read_text()))}
    assert found <= sys.stdlib_module_names


@pytest.mark.parametrize("file", [file for file in FILES if file.stem in FIRST], ids=lambda file: file.stem)
def test_what_every_process_loads_imports_nothing_slow(file: Path) -> None:
    allowed = {"__future__", "os", "sys", "importlib", "traceback"}
    assert {name.partition(".")[0] for name in imports(ast.parse(file.read_text()))} <= allowed
