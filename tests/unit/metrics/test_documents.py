"""The generated files are those of the declarations."""

from pathlib import Path

import pytest

from agent.metrics import documents

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", documents.documents())
def test_the_generated_files_are_fresh(path: str) -> None:
    """After a change of a declaration: make docs."""
    assert (ROOT / path).read_text(encoding="utf-8") == documents.documents()[path]


def test_they_are_the_same_each_time() -> None:
    assert documents.documents() == documents.documents()


def test_only_the_chosen_are_written(tmp_path: Path) -> None:
    documents.write(tmp_path, ["docs/metrics.md"])
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["metrics.md"]
    documents.write(tmp_path, [])
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == set(
        documents.documents()
    )
