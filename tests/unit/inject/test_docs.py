"""docs/injection.md."""

from pathlib import Path

import pytest

from agent.inject import docs
from agent.inject.options import options

PAGE = Path(__file__).parents[3] / "docs" / "injection.md"


def test_the_table_of_annotations_is_current():
    """After a change of a declaration: make docs."""
    text = PAGE.read_text(encoding="utf-8")
    assert docs.page(text) == text


def test_every_annotation_is_in_the_table_once():
    lines = docs.table().splitlines()[2:]
    assert [line.split("`")[1] for line in lines] == [one.annotation for one in options()]


def test_a_page_without_a_place_for_the_table_is_refused():
    with pytest.raises(ValueError, match="no place"):
        docs.page("# Injection")
