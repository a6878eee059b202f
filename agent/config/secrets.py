"""Secrets that come from elsewhere, at start: a secret setting may hold ``file:/PATH`` or ``env:NAME`` in place of the
value, and its ``…_file`` sibling may name the file. ``secret`` reads files again while the agent runs."""

import re
from collections.abc import Mapping
from pathlib import Path

from agent.config import fields, values
from agent.config.disk import Disk
from agent.config.origins import Given, Layer, Origin
from agent.config.problems import Report
from agent.config.secret import first_line
from agent.runtime.errors import Problem

_FILE = re.compile(r"file:(/(?!/).*)")
_VARIABLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


def resolve(
    given: Layer, environ: Mapping[str, str], disk: Disk, warnings: list[Problem], report: Report
) -> dict[str, Given]:
    """``given`` with each secret that a file or a variable holds; the first line of a file counts, without white
    space around it.

    A problem: the secret and its file both given, a file that can't be read or is empty. A warning: a file
    that every user may read, where there may be other users: a pod's volume is seen by those only that mount it."""
    given = found = referred(given, environ, report)
    pod = given.get("kubernetes.pod_uid")
    told = [] if pod is not None and pod.value else warnings
    for setting in fields.all_settings():
        sibling = given.get(setting.file_key)
        if sibling is None or not sibling.value:
            continue
        if setting.key in given and given[setting.key].value:
            other, here = str(given[setting.key].origin), str(sibling.origin)
            elsewhere = "" if here == other else f" (from {here})"
            report.of(other).refuse(
                setting.key, f"is given, and {setting.file_key} too{elsewhere}", "one of the two"
            )
            continue
        content = _read(
            setting.file_key, Path(str(sibling.value)), disk, told, report.of(str(sibling.origin))
        )
        if content is not None:
            about = report.of(str(sibling.origin), secret=True)
            value = values.read(setting.shape, content, setting.key, about)
            found[setting.key] = Given(value, sibling.origin)
    return found


def referred(given: Layer, environ: Mapping[str, str], report: Report) -> dict[str, Given]:
    """``given`` with ``file:/PATH`` as the ``…_file`` sibling and ``env:NAME`` as the variable's value. A problem: a
    variable that is not set."""
    found = dict(given)
    for setting in fields.all_settings():
        one = given.get(setting.key)
        if not setting.file_key or one is None or not isinstance(one.value, str):
            continue
        both = bool((sibling := given.get(setting.file_key)) and sibling.value)
        if (file := _FILE.fullmatch(one.value)) and not both:
            found[setting.file_key] = Given(file[1], one.origin)
            del found[setting.key]
        elif variable := _VARIABLE.fullmatch(one.value):
            about = report.of(str(one.origin), secret=True)
            if text := environ.get(variable[1]):
                value = values.read(setting.shape, text, setting.key, about)
                found[setting.key] = Given(value, Origin("environment", variable[1]))
            else:
                about.refuse(setting.key, f"refers to the variable {variable[1]}, which is not set")
    return found


def _read(key: str, path: Path, disk: Disk, warnings: list[Problem], report: Report) -> str | None:
    try:
        value = first_line(disk.read(path))
        if disk.open_to_all(path):
            warnings.append(
                Problem(key, f"names {path}, which every user of this machine can read", "mode 0600 or 0640")
            )
    except OSError as error:
        report.refuse(key, f"names {path}, which can't be read: {error.strerror}")
        return None
    except ValueError as error:
        report.refuse(key, f"names {path}, which {error}", "a file with the value in its first line")
        return None
    return value
