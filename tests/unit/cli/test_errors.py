"""How a command ends."""

import os
import subprocess
import sys

import click
import pytest

from agent.cli import COMMANDS, errors, group
from agent.cli.errors import ended
from agent.runtime.errors import Misconfigured, Permanent, Problem, Transient
from agent.runtime.runtime import ComponentFailed


def raising(error):
    @click.command()
    @click.option("--flag")
    def command(flag):
        if isinstance(error, int):
            return error
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            Permanent("Consul refused the token (403); check registry.token"),
            1,
            "error: Consul refused the token (403); check registry.token\n",
        ),
        (
            Transient("Consul at 127.0.0.1:8500 does not answer"),
            1,
            "error: Consul at 127.0.0.1:8500 does not answer\n",
        ),
        (
            Misconfigured([Problem("a.b", "is 1", "2", "p.yaml")]),
            2,
            "error: a.b is 1 (from p.yaml); allowed: 2\n",
        ),
        (
            FileNotFoundError(2, "No such file or directory", "x.yaml"),
            1,
            "error: x.yaml: No such file or directory\n",
        ),
        (click.UsageError("No such thing"), 2, "error: No such thing\nTry 'pillion --help'.\n"),
        (click.ClickException("No"), 1, "error: No\n"),
        (click.exceptions.Exit(3), 3, ""),
        (KeyboardInterrupt(), 130, "\n"),
    ],
)
def test_an_error_is_one_sentence_and_a_code(error, code, said, capsys):
    assert ended(raising(error), []) == code
    assert capsys.readouterr().err == said


def test_several_problems_are_a_list_under_a_heading(capsys):
    problems = [
        Problem("a", "is 1", source="/etc/pillion.yaml"),
        Problem("b", "is 2", source="/etc/pillion.yaml"),
    ]
    assert ended(raising(Misconfigured(problems)), []) == 2
    assert capsys.readouterr().err == (
        "error: /etc/pillion.yaml has 2 problems:\n  - a is 1 (from /etc/pillion.yaml)\n  - b is 2 (from "
        "/etc/pillion.yaml)\n"
    )
    assert ended(raising(Misconfigured([problems[0], Problem("c", "is 3", source="PILLION_C")])), []) == 2
    assert capsys.readouterr().err.startswith("error: the configuration has 2 problems:\n")


def test_a_defect_says_so_without_its_text_and_debug_shows_the_trace(capsys):
    assert ended(raising(RuntimeError("token=hunter2")), []) == 1
    said = capsys.readouterr().err
    assert "a defect" in said
    assert "hunter2" not in said
    assert "Traceback" not in said
    assert ended(raising(RuntimeError("x")), ["--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_debug_behind_the_dashes_is_the_services(capsys):
    @click.command()
    @click.argument("cmd", nargs=-1, type=click.UNPROCESSED)
    def command(cmd):
        click.echo(" ".join(cmd))

    assert ended(command, ["--", "flask", "--debug"]) == 0
    assert capsys.readouterr().out == "flask --debug\n"


def test_a_command_may_return_its_code():
    assert ended(raising(7), []) == 7


def test_bad_usage_points_to_help(capsys):
    assert ended(raising(0), ["--flagg"]) == 2
    said = capsys.readouterr().err
    assert "'--flagg'" in said
    assert "Try 'pillion --help'." in said


def test_help_of_the_group_imports_no_command_and_lists_all_but_the_hidden(capsys):
    before = set(sys.modules)
    assert ended(group, ["--help"]) == 0
    text = capsys.readouterr().out
    assert not [name for name in set(sys.modules) - before if name.startswith("agent.cli.")]
    assert all(f"  {name} " in text for name, (_, words) in COMMANDS.items() if words)
    assert "  agent " not in text


def test_an_unknown_command_is_bad_usage(capsys):
    assert ended(group, ["frob"]) == 2
    assert "frob" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_reason_for_words():
    """``pillion config schema | head -1``."""
    read, write = os.pipe()
    os.close(read)  # before there is anything to read: a pipe would hold the whole schema
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", "config", "schema"],
        stdout=write,
        stderr=subprocess.PIPE,
        env={**os.environ},
    )
    os.close(write)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, b"")


def test_components_that_failed_for_a_known_reason_are_told_one_by_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the runtime raises is a group; a person wants the sentences in it."""
    failed = ComponentFailed("admin", "listening failed")
    failed.__cause__ = Permanent("listening on 127.0.0.1:1 (admin.listen) is impossible: set admin.listen")
    assert errors.report(ExceptionGroup("failed", [failed])) == 1
    said = capsys.readouterr().err
    assert "admin.listen" in said
    assert "defect" not in said


def test_a_component_that_failed_by_a_defect_is_told_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    failed = ComponentFailed("admin", "KeyError")
    failed.__cause__ = KeyError("x")
    assert errors.report(ExceptionGroup("failed", [failed])) == 1
    assert "defect" in capsys.readouterr().err
