"""What README.md and docs/ show is what the program takes."""

from pathlib import Path

import pytest

from tests.unit.docs import commands, links, settings
from tests.unit.docs.blocks import ROOT, Block, blocks, pages

BLOCKS = tuple(blocks())
SETTINGS = [one for one in BLOCKS if settings.is_example(one)]
COMMANDS = [(one.place, typed) for one in BLOCKS for typed in commands.commands(one)]


@pytest.mark.parametrize("block", SETTINGS, ids=lambda block: block.place)
def test_an_example_of_settings_is_loaded_without_a_problem(block: Block) -> None:
    """The environment plays no part, and whatever secret file is named has a secret in it."""
    assert settings.wrong(block) == []


@pytest.mark.parametrize(("place", "typed"), COMMANDS)
def test_an_example_of_a_command_names_what_exists(place: str, typed: str) -> None:
    """The command, its options and the number of its arguments."""
    assert commands.wrong(typed) == [], place


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_within_a_sentence_names_what_exists(page: Path) -> None:
    """A sentence may leave out what an example may not: arguments."""
    wrong = [said for typed in links.inline_commands(page) for said in commands.wrong(typed)]
    assert [said for said in wrong if "Missing" not in said and "requires an argument" not in said] == []


def test_there_are_examples_of_both() -> None:
    """Else nothing would be tested."""
    assert SETTINGS
    assert COMMANDS


def test_no_example_of_settings_hides_behind_another_first_line() -> None:
    """A block in which the file is named further down would not be tested."""
    hidden = [
        one.place
        for one in BLOCKS
        if one not in SETTINGS and any(line.strip() == settings.FILE for line in one.text.splitlines())
    ]
    assert hidden == []
