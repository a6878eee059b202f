"""``pillion config``: the settings in force, a file checked, the schema."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from agent.cli.options import SettingsCommand, settings_options
from agent.config import checks, fields, problems, schema, sources
from agent.config.disk import LocalDisk
from agent.config.fields import Setting
from agent.config.settings import Settings
from agent.config.shapes import Number
from agent.config.units import written

MASK = "***"


@click.group()
def command() -> None:
    """The settings: what is in force and why, whether a file is right, the schema."""


@command.command(cls=SettingsCommand)
@click.option("--json", "as_json", is_flag=True, help="As JSON: for each key its value and origin.")
@click.option("--changed", is_flag=True, help="Only what is not the default.")
@settings_options()
def show(resolved: sources.Resolved, as_json: bool, changed: bool) -> None:
    """The settings in force and where each came from. Secrets are masked.

    What somebody gave is marked with * (and highlighted on a terminal).
    """
    rows = [
        one for one in fields.all_settings() if not changed or resolved.origins[one.key].kind != "default"
    ]
    if as_json:
        found = {one.key: _record(one, resolved) for one in rows}
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    lines = [(one.key, _text(one, resolved.settings), str(resolved.origins[one.key])) for one in rows]
    widths = [max((len(line[column]) for line in lines), default=0) for column in (0, 1)]
    for key, value, origin in lines:
        mark = " " if origin == "default" else "*"
        line = f"{mark} {key:<{widths[0]}}  {value:<{min(widths[1], 50)}}  {origin}"
        click.echo(line if origin == "default" else click.style(line, bold=True))


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["none", "sidecar", "launcher", "gateway"]),
    default="none",
    show_default=True,
    help="What the file must suffice for by itself: a sidecar needs the service's name and port.",
)
def check(file: Path, purpose: checks.Purpose) -> None:
    """Check FILE: "ok", or all that is wrong with it (exit code 2).

    The environment plays no part, so the answer is the same everywhere.
    """
    resolved = sources.load({}, {}, file, LocalDisk(), require=purpose)
    for warning in resolved.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{file}: ok")


@command.command(name="schema")
def print_schema() -> None:
    """Print the JSON Schema of the file.

    An editor that speaks it completes keys and marks mistakes:

    \b
      pillion config schema > pillion.schema.json
      # first line of pillion.yaml:
      # yaml-language-server: $schema=pillion.schema.json
    """
    click.echo(json.dumps(schema.schema(), indent=2, ensure_ascii=False))


def _record(setting: Setting, resolved: sources.Resolved) -> Mapping[str, Any]:
    origin = resolved.origins[setting.key]
    return {"value": _masked(setting, resolved.settings), "origin": origin.kind, "from": origin.name}


def _masked(setting: Setting, settings: Settings) -> object:
    value = msgspec.to_builtins(fields.value(settings, setting.key))
    if setting.member.secret:
        return MASK if value else ""
    return _without_credentials(value)


def _without_credentials(value: object) -> object:
    match value:
        case str():
            return problems.masked(value)
        case list() | tuple():
            return [_without_credentials(one) for one in value]
        case dict():
            return {key: _without_credentials(one) for key, one in value.items()}
    return value


def _text(setting: Setting, settings: Settings) -> str:
    value = _masked(setting, settings)
    match value:
        case str():
            return value or '""'
        case bool():
            return "true" if value else "false"
        case int() | float():
            return written(value, setting.shape.unit) if isinstance(setting.shape, Number) else str(value)
        case list() if all(isinstance(one, str) for one in value):
            return ",".join(value) or "[]"
    return json.dumps(value, ensure_ascii=False)
