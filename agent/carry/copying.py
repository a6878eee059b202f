"""A copy of the hook for a service in another container: a folder that both see."""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.carry import SITE

PREFIX = ".hook-"
"""What the names of our own entries begin with, so that they are never importable and can be told apart."""


def copy(target: Path, site: Path = SITE) -> None:
    """Make ``target`` a folder for a PYTHONPATH, with the hook of ``site`` in it and readable for everybody.

    What is importable there are two links into a folder that is written whole before they lead to it and never
    changed after: a service that imports meanwhile finds each package as it was or as it is now, whole. An
    equal copy is left alone. What an earlier copy left is removed; what others put there stays. Raises OSError,
    also while another agent copies into the same folder; again is right then.
    """
    files = {path.relative_to(site): path.read_bytes() for path in sorted(site.rglob("*.py"))}
    names = sorted({path.parts[0] for path in files})
    target.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _alone(target):
        if not all(_is_link(target / name) for name in names) or _content(target, names) != files:
            fresh = _written(target, files)
            for name in names:
                _switch(target / name, f"{fresh}/{name}")
        _tidy(target, {(target / name).readlink().parts[0] for name in names})


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _is_link(path: Path) -> bool:
    return path.is_symlink() and str(path.readlink()).startswith(PREFIX)


def _content(target: Path, names: list[str]) -> dict[Path, bytes]:
    """What is importable there now, as far as it can be read."""
    found = {}
    for name in names:
        inside = [target / name] if (target / name).is_file() else sorted((target / name).rglob("*.py"))
        for path in inside:
            found[path.relative_to(target)] = path.read_bytes()
    return found


def _written(target: Path, files: Mapping[Path, bytes]) -> str:
    """The name of a new folder that holds the files; nothing leads there yet."""
    name = f"{PREFIX}{secrets.token_hex(6)}"
    for path, content in files.items():
        place = target / name / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    for folder, _, inside in os.walk(target / name):
        os.chmod(folder, 0o755)  # noqa: PTH101 S103 - the service runs as another user
        for each in inside:
            os.chmod(Path(folder) / each, 0o644)  # noqa: PTH101
    return name


def _switch(path: Path, leads_to: str) -> None:
    beside = path.with_name(f"{PREFIX}{secrets.token_hex(6)}")
    beside.symlink_to(leads_to)
    if path.is_dir() and not path.is_symlink():
        # A copy that somebody made by hand: a folder can't be replaced in one step.
        path.rename(path.with_name(f"{PREFIX}{secrets.token_hex(6)}"))
    beside.replace(path)


def _tidy(target: Path, keep: set[str]) -> None:
    for entry in sorted(target.glob(f"{PREFIX}*")):
        if entry.is_symlink() or entry.is_file():
            entry.unlink(missing_ok=True)
        elif entry.name not in keep:
            # What a service of another user compiled there can't be removed by us, and does no harm.
            shutil.rmtree(entry, ignore_errors=True)
