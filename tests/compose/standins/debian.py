"""Debian's smallest system as a tar file, made with debootstrap and kept in Pillion's cache."""

import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from agent.demo import components
from agent.demo.report import Report
from agent.runtime.errors import Permanent

SUITE = "trixie"
PACKAGES = ("ca-certificates", "netbase", "tzdata")
BUNDLE = "./etc/ssl/certs/ca-certificates.crt"


def cached() -> Path:
    """Where the tar file is kept."""
    return components.cache().parent / "images" / f"debian-{SUITE}-{platform.machine()}.tar"


def root_tar(report: Report) -> Path:
    """The tar file, made now if it is not there. Raises Permanent with what making it lacks."""
    path = cached()
    if not path.exists():
        _require()
        path.parent.mkdir(parents=True, exist_ok=True)
        with report.working(f"Debian {SUITE}: debootstrap, about a minute"):
            _make(path)
    return path


def bundle(path: Path) -> str:
    """The certificates that this Debian trusts by itself."""
    with tarfile.open(path) as tar:
        file = tar.extractfile(BUNDLE)
        return file.read().decode() if file else ""


def _require() -> None:
    if shutil.which("debootstrap") is None:
        raise Permanent(
            "a stand-in image needs debootstrap, which is not installed: apt-get install debootstrap"
        )
    if os.geteuid() != 0:
        raise Permanent("a stand-in image is made with debootstrap, which only root can run: use sudo")


def _make(path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pillion-debian-") as temporary:
        root, made = Path(temporary) / "root", path.with_suffix(".making")
        _run(
            "debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root),
            "http://deb.debian.org/debian",
        )  # fmt: skip
        shutil.rmtree(root / "var/cache/apt/archives")
        (root / "var/cache/apt/archives/partial").mkdir(parents=True)
        left_out = [f"--exclude=./{folder}/*" for folder in ("dev", "proc", "sys", "var/lib/apt/lists")]
        _run("tar", "-C", str(root), "--numeric-owner", *left_out, "-cf", str(made), ".")
        made.rename(path)


def _run(*argv: str) -> None:
    done = subprocess.run(
        argv,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise Permanent(f"{argv[0]} ended with status {done.returncode}:\n{done.stdout.strip()[-1500:]}")
