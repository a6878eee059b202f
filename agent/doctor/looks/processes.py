"""The processes below another one, as ``/proc`` tells."""

import os
from collections.abc import Mapping
from pathlib import Path

from agent.doctor.machine.hook import Process

PROC = Path("/proc")
MOST = 200
"""Processes that are looked at."""


def parent(pid: int, proc: Path = PROC) -> int:
    """Whose child it is; 0 where that can't be seen."""
    try:
        # The name stands in brackets and may hold anything.
        return int((proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def below(pid: int, depth: int = 50, proc: Path = PROC) -> list[int]:
    """All processes that it started, and those that they started, the nearest first, down to ``depth``."""
    children: dict[int, list[int]] = {}
    for folder in proc.iterdir():
        if folder.name.isdigit():
            children.setdefault(parent(int(folder.name), proc), []).append(int(folder.name))
    found, turn = list[int](), [pid]
    for _ in range(depth):
        turn = sorted(child for one in turn for child in children.get(one, []))
        found += turn
        if not turn or len(found) > MOST:
            break
    return found


def process(pid: int, proc: Path = PROC) -> Process | None:
    """What it was started with; None when it is gone."""
    folder = proc / str(pid)
    try:
        argv = tuple(_texts((folder / "cmdline").read_bytes()))
    except OSError:
        return None
    environment = _environment(folder)
    return Process(pid, argv, environment, _first(environment or {}))


def _environment(folder: Path) -> Mapping[str, str] | None:
    try:
        content = (folder / "environ").read_bytes()
    except OSError:
        return None
    return {name: value for name, _, value in (text.partition("=") for text in _texts(content))}


def _first(environment: Mapping[str, str]) -> tuple[str, ...]:
    folders = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    files = [Path(folder) / "sitecustomize.py" for folder in folders]
    return tuple(str(file) for file in files if file.is_file())


def _texts(content: bytes) -> list[str]:
    return [one.decode(errors="replace") for one in content.split(b"\0") if one]
