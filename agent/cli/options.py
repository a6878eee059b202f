"""Flags made from the declarations of settings, and the resolved settings handed to a command."""

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from agent.cli.errors import warn
from agent.config import fields, sources
from agent.config.checks import Purpose
from agent.config.disk import LocalDisk
from agent.config.fields import Setting
from agent.config.shapes import Choice, Many, Named, Number, Shape, Switch, Text
from agent.config.units import written

MOST_USED = (
    "service.name",
    "service.port",
    "service.health_path",
    "registry.address",
    "upstreams",
    "versions.serves",
    "tracing.endpoint",
    "tracing.sample",
    "log.level",
)

PRECEDENCE = (
    "Each setting is a flag, a variable (--service-port: PILLION_SERVICE_PORT) and a key of the file "
    "(service: port:). A flag counts before a variable, a variable before the file. "
    "DURATION is 250ms, 10s, 5m or plain seconds. In brackets: the default."
)

SECRETS = "Secrets (no flag, since a process list shows flags; each can also come from its …-file)"

Require = Purpose | Callable[[Mapping[str, Any]], Purpose]
"""What the settings must suffice for, or a function of the command's parameters that says it."""


class SettingOption(click.Option):
    """The flag of one setting."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        switch = isinstance(setting.shape, Switch)
        flag = f"{setting.flag}/--no-{setting.flag[2:]}" if switch else setting.flag
        super().__init__(
            [_parameter(setting.key), flag],
            default=None,
            metavar=None if switch else metavar(setting.shape),
            help=f"{setting.member.description} {default_words(setting)}".strip(),
        )


class SettingsCommand(click.Command):
    """A command whose help lists settings by section, the most used first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Own options, the most used settings, the others by section, the secrets."""
        flags = [one for one in self.get_params(ctx) if isinstance(one, SettingOption)]
        own = [one for one in self.get_params(ctx) if type(one) is click.Option]
        with formatter.section("Options"):
            formatter.write_dl(_records(own, ctx))
        formatter.write_paragraph()
        formatter.write_text(PRECEDENCE)
        used = sorted(
            (one for one in flags if one.setting.key in MOST_USED),
            key=lambda one: MOST_USED.index(one.setting.key),
        )
        self._section(formatter, ctx, "Settings used most", used)
        for heading in dict.fromkeys(one.setting.heading for one in flags):
            rest = [one for one in flags if one.setting.heading == heading and one not in used]
            self._section(formatter, ctx, heading, rest)
        self._secrets(formatter, {one.setting.section for one in flags})

    def _section(
        self, formatter: click.HelpFormatter, ctx: click.Context, heading: str, flags: list[SettingOption]
    ) -> None:
        if flags:
            with formatter.section(heading):
                formatter.write_dl(_records(flags, ctx))

    def _secrets(self, formatter: click.HelpFormatter, sections: set[str]) -> None:
        secrets = [one for one in fields.all_settings() if one.member.secret and one.section in sections]
        if secrets:
            with formatter.section(SECRETS):
                formatter.write_dl([(one.variable, one.member.description) for one in secrets])


def settings_options(
    sections: Iterable[str] | None = None, *, require: Require = "none", quiet: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--config`` and a flag for every setting of ``sections`` (all without), and pass ``resolved:
    sources.Resolved``.

    Use it with ``@click.command(cls=SettingsCommand)``, nearest to the function. ``require`` says what the
    settings must suffice for. Warnings go to standard error unless ``quiet``. What is wrong ends the command before its
    function is called (Misconfigured)."""
    wanted = None if sections is None else set(sections)
    settings = [
        one for one in fields.all_settings() if one.flag and (wanted is None or one.section in wanted)
    ]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(config: Path | None, **parameters: Any) -> Any:
            flags = {one.key: parameters.pop(_parameter(one.key)) for one in settings}
            purpose = require if isinstance(require, str) else require(parameters)
            return function(resolved=resolve(flags, config, purpose, quiet=quiet), **parameters)

        own = list(getattr(command, "__click_params__", []))
        option = click.Option(
            ["--config", "config"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="File of settings. Default: PILLION_CONFIG, else ./pillion.yaml where it exists.",
        )
        vars(command)["__click_params__"] = [*map(SettingOption, reversed(settings)), option, *own]
        return command

    return decorate


def resolve(
    flags: Mapping[str, object], config: Path | None, require: Purpose = "none", *, quiet: bool = False
) -> sources.Resolved:
    """The settings from these flags, this process's environment and the file; warnings are printed unless ``quiet``."""
    resolved = sources.load(flags, os.environ, config, LocalDisk(), require=require)
    for warning in () if quiet else resolved.warnings:
        warn(str(warning))
    return resolved


def metavar(shape: Shape) -> str:
    """What a flag's value looks like."""
    match shape:
        case Number():
            return {"s": "DURATION", "B": "SIZE"}.get(shape.unit, "N")
        case Choice():
            return "|".join(shape.values)
        case Many(item=Text() | Choice()) | Named(names=True):
            return "A,B,…"
        case Named(value=Text()):
            return "NAME=VALUE,…"
    return "YAML" if isinstance(shape, Many | Named) else "TEXT"


def default_words(setting: Setting) -> str:
    """The default as help says it; empty where there is none to speak of."""
    default, shape = setting.member.default, setting.shape
    if setting.key == "upstreams":
        return "[*]"
    if isinstance(shape, Switch):
        return "[on]" if default else "[off]"
    if isinstance(shape, Number) and isinstance(default, int | float):
        return f"[{written(default, shape.unit)}]"
    return f"[{default}]" if isinstance(default, str) and default else ""


def _parameter(key: str) -> str:
    return "setting_" + key.replace(".", "__")


def _records(options: Iterable[click.Parameter], ctx: click.Context) -> list[tuple[str, str]]:
    return [record for one in options if (record := one.get_help_record(ctx)) is not None]
