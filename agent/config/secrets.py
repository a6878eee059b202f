"""Secrets that come from files, at start: the ``…_file`` sibling of a secret setting names one. ``secret`` reads
them again while the agent runs."""

from pathlib import Path

from agent.config import fields, values
from agent.config.disk import Disk
from agent.config.origins import Given, Layer
from agent.config.problems import Report
from agent.config.secret import first_line
from agent.runtime.errors import Problem


def resolve(given: Layer, disk: Disk, warnings: list[Problem], report: Report) -> dict[str, Given]:
    """``given`` with each secret that a file holds; the first line of the file counts, without white space
    around it.

    A problem: the secret and its file both given, a file that can't be read or is empty. A warning: a file
    that every user may read, where there may be other users: a pod's volume is seen by those only that mount it."""
    found = dict(given)
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
