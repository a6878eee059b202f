"""Manifests from files, folders and standard input; what became of them, told on standard error."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from agent.cli.errors import USAGE
from agent.inject.injection import Verdict
from agent.inject.manifests.offline import Done, File
from agent.inject.manifests.stream import LONGEST, Entry
from agent.runtime.errors import Misconfigured, Problem
from agent.runtime.words import plain

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
"""What is read of a folder, and of those in it."""
STDIN = "-"
COLOURS = {Verdict.INJECTED: "green", Verdict.SKIPPED: "yellow", Verdict.REFUSED: "red"}


def files(name: str) -> list[File]:
    """The manifests that an argument means: a file, a folder, ``-``. Raises Misconfigured."""
    if name == STDIN:
        return [File("standard input", _text(sys.stdin.buffer.read(4 * LONGEST), "standard input"))]
    path = Path(name)
    found = sorted(_below(path)) if path.is_dir() else [path]
    if not found:
        raise Misconfigured([Problem(name, "holds no manifest", "files that end in .yaml, .yml or .json")])
    return [File(str(one), _read(one)) for one in found]


def _below(folder: Path) -> Iterator[Path]:
    return (one for one in folder.rglob("*") if one.suffix in SUFFIXES and one.is_file())


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _text(file.read(4 * LONGEST), str(path))
    except OSError as error:
        raise Misconfigured([Problem(str(path), f"can't be read: {error.strerror}")]) from error


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Misconfigured([Problem(name, "is not UTF-8", "YAML or JSON as UTF-8")]) from error


def ended(done: Done, word: str) -> int:
    """Print the stream where nothing is wrong, and the report; the exit code. ``word``: what a change is called."""
    for entry in done.entries:
        for line in lines(entry, word):
            click.echo(line, err=True)
    if done.wrong:
        click.echo("nothing is printed, since something was refused", err=True)
        return USAGE
    if not done.text.strip():
        click.echo("there is no manifest in what was given: nothing is printed", err=True)
    sys.stdout.buffer.write(done.text.encode())
    return 0


def lines(entry: Entry, word: str) -> Sequence[str]:
    """The report on one resource: a line for it, and one for each warning and problem."""
    said: dict[Verdict, str] = {Verdict.INJECTED: word, Verdict.REFUSED: "error"}
    verdict = said.get(entry.verdict, "skipped")
    why = f": {entry.reason}" if entry.reason and not entry.problems else ""
    first = f"{plain(entry.title)} {click.style(verdict, fg=COLOURS[entry.verdict])}{plain(why)}"
    warnings = [f"  warning: {plain(one)}" for one in entry.warnings]
    return [first, *warnings, *(f"  error: {plain(str(one))}" for one in entry.problems)]
