"""Packages that only some tests need, or another version of one that is here: installed once, in a folder of
their own that a service gets on its path.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.demo import components


def installed(*requirements: str, python: str = sys.executable) -> Path:
    """The folder that holds them, for that Python. Skips the test where they can't be had, and fails it with
    PILLION_REQUIRE_ALL.
    """
    wanted = " ".join((_version(python), *requirements))
    base = components.cache().parent / "packages"
    base.mkdir(parents=True, exist_ok=True)
    folder = base / hashlib.sha256(wanted.encode()).hexdigest()[:16]
    with (base / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _install(requirements, folder, python)
    return folder


def _version(python: str) -> str:
    asked = [python, "-c", "import sys; print(sys.version.split()[0])"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def _install(requirements: tuple[str, ...], folder: Path, python: str) -> None:
    beside = folder.with_suffix(".part")
    shutil.rmtree(beside, ignore_errors=True)
    pip = [python, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        pip = [sys.executable, "-m", "pip", "--python", python]  # Debian's own Pythons have none
    argv = [*pip, "install", "--quiet", "--disable-pip-version-check"]
    env = {**os.environ, "PIP_NO_INPUT": "1"}
    done = subprocess.run(
        [*argv, "--target", str(beside), *requirements], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = f"pip can't install {', '.join(requirements)}: {done.stderr[-1000:]}"
        pytest.fail(reason) if os.environ.get("PILLION_REQUIRE_ALL") else pytest.skip(reason)
    beside.rename(folder)
