"""Settings from flags, environment, file and defaults, in that order, with where each came from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.config import checks, document, fields, links, secrets, texts, values
from agent.config.disk import Disk
from agent.config.fields import PREFIX, Setting
from agent.config.origins import DEFAULT, Given, Layer, Origin
from agent.config.problems import Report, did_you_mean
from agent.config.settings import Settings
from agent.config.shapes import Group
from agent.runtime.errors import Misconfigured, Problem

FILE = Path("pillion.yaml")
"""The file that is read when none is named."""

OTHERS = ("PILLION_CONFIG", "PILLION_CARRY", "PILLION_REQUIRE_ALL")
"""Variables of Pillion that are no settings; so are those that begin with one of ``OTHER_PREFIXES``."""

OTHER_PREFIXES = ("PILLION_CARRY_", "PILLION_BIN_", "PILLION_UPSTREAM_", "PILLION_DEFAULT_")


@dataclass(frozen=True)
class Resolved:
    """The settings in force."""

    settings: Settings
    origins: Mapping[str, Origin]
    """Of every setting, by its dotted key."""
    warnings: tuple[Problem, ...] = ()
    """What is odd but does not stop anything, such as an unknown ``PILLION_`` variable."""
    file: Path | None = None
    """The file that was read, if any."""

    def inherited(self, environ: Mapping[str, str]) -> dict[str, str]:
        """``environ`` without the variables to which secret settings refer: they are the agent's, and nothing that it
        starts is to have them. Variables of settings themselves are left in."""
        settings = fields.all_settings()
        known = {name for one in settings for name in (one.variable, *one.member.aliases)}
        origins = [self.origins[one.key] for one in settings if one.file_key]
        own = {origin.name for origin in origins if origin.kind == "environment"} - known
        return {name: value for name, value in environ.items() if name not in own}


def load(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    file: Path | None,
    disk: Disk,
    *,
    require: checks.Purpose = "none",
) -> Resolved:
    """The settings, by precedence: flag, ``PILLION_`` variable, file, foreign variable, default.

    ``flags`` are texts (booleans for switches) by dotted key; None counts as not given. ``file`` is what
    ``--config`` says; without it the variable ``PILLION_CONFIG``, else ``pillion.yaml`` where that exists. A
    foreign variable (``CONSUL_HTTP_ADDR`` …) is used only where nobody gave the Pillion setting. ``require``
    says what the settings must suffice for. Every value that was given is checked, also one that another
    overrides. Raises Misconfigured with all problems."""
    warnings: list[Problem] = []
    try:
        return _load(flags, environ, file, disk, require=require, warnings=warnings)
    except Misconfigured as error:
        raise Misconfigured(error.problems, warnings) from error


def _load(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    file: Path | None,
    disk: Disk,
    *,
    require: checks.Purpose,
    warnings: list[Problem],
) -> Resolved:
    report = Report()
    path, from_file = read_file(file, environ, disk, report)
    given = {**from_file, **_from_environ(environ, warnings, report), **_from_flags(flags, report)}
    given = {**_from_foreign(environ, given, report), **given}
    given = secrets.resolve(given, environ, disk, warnings, report)
    report.check()
    settings = assemble(given)
    origins = {
        setting.key: given[setting.key].origin if setting.key in given else DEFAULT
        for setting in fields.all_settings()
    }
    checks.check(settings, require, lambda key: str(origins[key]) if key in given else "")
    return Resolved(settings, origins, tuple(warnings), path)


def read_file(
    named: Path | None, environ: Mapping[str, str], disk: Disk, report: Report
) -> tuple[Path | None, Layer]:
    """The values of the file in force; (None, nothing) when there is none and none was asked for."""
    variable = environ.get("PILLION_CONFIG", "")
    path = named or (Path(variable) if variable else FILE)
    try:
        text = disk.read(path)
    except FileNotFoundError as error:
        if named or variable:
            report.refuse(
                str(path),
                f"can't be read: {error.strerror}",
                "the path of a settings file, for --config or PILLION_CONFIG",
            )
        return None, {}
    except OSError as error:
        report.refuse(str(path), f"can't be read: {error.strerror}")
        return None, {}
    except ValueError as error:
        report.refuse(str(path), str(error))
        return None, {}
    return path, from_document(text, str(path), report)


def from_document(text: str, name: str, report: Report) -> Layer:
    """The values of a settings document; ``name`` is what messages call it."""
    try:
        content = document.parse(text)
    except document.UnreadableError as error:
        report.refuse(name, str(error))
        return {}
    if not isinstance(content, dict | None):
        report.refuse(name, "is not a mapping", "sections such as `service:` with settings below them")
        return {}
    return dict(flattened(fields.shape(), content or {}, "", Origin("file", name), report.of(name)))


def flattened(
    group: Group, content: dict[str, object], prefix: str, origin: Origin, report: Report
) -> Iterator[tuple[str, Given]]:
    """The single values of a mapping of that shape by their dotted keys, which begin with ``prefix``."""
    for name, raw in content.items():
        key = values.place_of(prefix, name)
        member = group.members.get(name)
        if member is None:
            values.unknown(key, name, list(group.members), report)
        elif not isinstance(member.shape, Group):
            value = values.read(member.shape, raw, key, report.of(report.source, secret=member.secret))
            yield key, Given(value, origin)
        elif isinstance(raw, dict | None):
            yield from flattened(member.shape, raw or {}, key, origin, report)
        else:
            report.refuse(
                key, "is not a mapping", f"settings such as {', '.join(list(member.shape.members)[:3])}"
            )


def _from_environ(environ: Mapping[str, str], warnings: list[Problem], report: Report) -> Layer:
    known = {setting.variable: setting for setting in fields.all_settings()}
    ignored = links.links(environ)
    found = {}
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or name in OTHERS or name.startswith(OTHER_PREFIXES):
            continue
        setting = known.get(name)
        if name in ignored:
            if setting is not None:
                warnings.append(
                    Problem(
                        name,
                        "is taken for Kubernetes' service link of the same value, not for the setting",
                        _UNLINK,
                    )
                )
        elif setting is None:
            warnings.append(Problem(name, f"is not a variable of Pillion{did_you_mean(name, list(known))}"))
        else:
            found[setting.key] = Given(
                _read_text(setting, text, report.of(name)), Origin("environment", name)
            )
    return found


_UNLINK = "set enableServiceLinks: false in the pod, or give the setting by flag or file"


def _from_flags(flags: Mapping[str, object], report: Report) -> Layer:
    found = {}
    for key, raw in flags.items():
        if raw is None:
            continue
        setting = fields.by_key()[key]
        about = report.of(f"flag {setting.flag}")
        value = (
            _read_text(setting, raw, about)
            if isinstance(raw, str)
            else values.read(setting.shape, raw, key, about)
        )
        found[key] = Given(value, Origin("flag", setting.flag))
    return found


def _from_foreign(environ: Mapping[str, str], given: Layer, report: Report) -> Layer:
    found = {}
    for setting in fields.all_settings():
        pair = {setting.key, setting.file_key, setting.key.removesuffix("_file")}
        if pair & given.keys():
            continue
        for name in setting.member.aliases:
            if text := environ.get(name):
                found[setting.key] = Given(
                    _read_text(setting, text, report.of(name)), Origin("environment", name)
                )
                break
    # Consul's own clients let the file win over the token.
    return {key: one for key, one in found.items() if f"{key}_file" not in found}


def _read_text(setting: Setting, text: str, report: Report) -> object:
    about = report.of(report.source, secret=setting.member.secret)
    return texts.read(setting.shape, text, setting.key, about)


def assemble(given: Layer, base: Settings | None = None) -> Settings:
    """The settings of which ``given`` was given, the rest as in ``base``, by default the declared
    defaults."""
    tree: dict[str, object] = msgspec.to_builtins(base) if base else {}
    for key, one in given.items():
        *sections, name = key.split(".")
        inner: dict[str, object] = tree
        for section in sections:
            deeper = inner.setdefault(section, {})
            assert isinstance(deeper, dict)
            inner = deeper
        inner[name] = one.value
    try:
        return msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        # The shapes are made from the same declarations: only a gap between the two leads here.
        # The text may quote a value, so only its place is passed on.
        raise Misconfigured(
            [Problem("settings", "do not fit their declaration", source=str(error).rpartition("at ")[2])]
        ) from None
