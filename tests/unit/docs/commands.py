"""Examples of commands, parsed by the program's own declarations, never run."""

import re
import shlex
from collections.abc import Iterator, Mapping

import click

from agent.cli import group
from agent.cli.options import SettingOption
from agent.config import sources
from agent.config.disk import LocalDisk
from agent.runtime.errors import Misconfigured
from tests.unit.docs import typed
from tests.unit.docs.blocks import Block

_OPERATOR = re.compile(r"[|&;<>()]+")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


def commands(block: Block) -> Iterator[str]:
    """What a console block shows being typed: lines behind ``$``, a backslash at the end continues one."""
    for one in typed.of(block):
        yield one.text


def wrong(text: str) -> list[str]:
    """What is wrong with each ``pillion`` in a line for the shell; nothing for a right one."""
    try:
        simple = list(_simple(text))
    except ValueError as error:
        return [f"{text}: {error}"]
    found = []
    for words in simple:
        if words[0] == "pillion":
            try:
                _parse(group, click.Context(group, info_name="pillion", **group.context_settings), words[1:])
            except click.UsageError as error:
                found.append(f"{text}: {error.format_message()}")
            except Misconfigured as error:
                found += [f"{text}: {one}" for one in error.problems]
    return found


def _simple(text: str) -> Iterator[list[str]]:
    """The simple commands of a line, each without the variables set for it and without redirections."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    target = False
    for token in (*lexer, ";"):
        if not _OPERATOR.fullmatch(token):
            if not target:
                words.append(token)
            target = False
        elif ">" in token or "<" in token:
            target = True
            if words and words[-1] in ("1", "2"):
                words.pop()
        else:
            while words and _ASSIGNMENT.fullmatch(words[0]):
                words.pop(0)
            if words:
                yield words
            words, target = [], False


def _parse(command: click.Command, context: click.Context, words: list[str]) -> None:
    """Parse words as the command does, without converting values: no file is opened. Raises UsageError."""
    values, rest, _ = command.make_parser(context).parse_args(list(words))
    if any(
        parameter.is_eager and values.get(parameter.name or "") for parameter in command.get_params(context)
    ):
        return  # --help and --version need nothing else
    if isinstance(command, click.Group):
        if not rest:
            raise click.UsageError("Missing command.", context)
        inner = command.get_command(context, rest[0])
        if inner is None:
            raise click.UsageError(f"No such command '{rest[0]}'.", context)
        _parse(inner, click.Context(inner, info_name=rest[0], parent=context), rest[1:])
        return
    if rest and not context.allow_extra_args:
        raise click.UsageError(f"Got unexpected extra argument ({' '.join(rest)})", context)
    _check_values(command, context, values)


def _check_values(command: click.Command, context: click.Context, values: Mapping[str, object]) -> None:
    flags = {}
    for parameter in command.get_params(context):
        value = values.get(parameter.name or "")
        missing = value is None or parameter.value_is_missing(value)
        if missing and parameter.required:
            raise click.MissingParameter(ctx=context, param=parameter)
        if missing:
            continue
        if isinstance(parameter, SettingOption):
            flags[parameter.setting.key] = value
        elif isinstance(parameter.type, click.Choice | click.types.IntParamType | click.types.FloatParamType):
            parameter.type_cast_value(context, value)
    sources.load(flags, {"PILLION_CONFIG": ""}, None, _NoFile())


class _NoFile(LocalDisk):
    """A disk without anything on it: an example is to mean the same wherever the tests run."""

    def read(self, path: object) -> str:
        raise FileNotFoundError(2, "No such file or directory", str(path))
