"""What goes to Docker for one image: its folder's files, its programs, and what this machine gives."""

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from agent.demo import obtain
from agent.demo.report import Report
from tests.compose.standins import debian, host
from tests.compose.standins.table import Image


@dataclass(frozen=True)
class File:
    """One file of a build's context."""

    name: str
    content: bytes | Path
    executable: bool = False


def files(image: Image, report: Report) -> list[File]:
    """Everything that the image's Dockerfile copies. Raises Permanent when something can't be had."""
    return [
        *(File(path.name, path, path.suffix == ".sh") for path in sorted(image.dockerfile.parent.iterdir())),
        *(File(name, obtain.pinned(name, report), executable=True) for name in image.programs),
        *(file for name in image.given for file in GIVEN[name](report)),
    ]


def write(wanted: list[File], to: IO[bytes]) -> None:
    """A tar file with nothing of this machine's times and owners in it, so that Docker knows it again."""
    with tarfile.open(fileobj=to, mode="w|") as tar:
        for file in wanted:
            entry = tarfile.TarInfo(file.name)
            entry.mode = 0o755 if file.executable else 0o644
            if isinstance(file.content, Path):
                entry.size = file.content.stat().st_size
                with file.content.open("rb") as content:
                    tar.addfile(entry, content)
            else:
                entry.size = len(file.content)
                tar.addfile(entry, io.BytesIO(file.content))


def _root(report: Report) -> Iterator[File]:
    yield File("root.tar", debian.root_tar(report))


def _certificates(report: Report) -> Iterator[File]:
    yield File("certificates/README", b"Certificates that the building machine trusts beyond Debian's.\n")
    extra = host.beyond(host.bundle(), debian.bundle(debian.root_tar(report)))
    for number, certificate in enumerate(extra):
        yield File(f"certificates/host-{number}.crt", certificate.encode())


def _pip_conf(report: Report) -> Iterator[File]:
    yield File("pip.conf", host.pip_conf(host.pip_settings()).encode())


def _kafka(report: Report) -> Iterator[File]:
    jars = obtain.pinned("kafka", report).parent / "jars"
    yield from (File(f"libs/{path.name}", path) for path in sorted(jars.iterdir()))


def _java(report: Report) -> Iterator[File]:
    home = obtain.pinned("java", report).parents[1]
    for path in sorted(home.rglob("*")):
        if path.is_file():
            programs = path.parent.name == "bin" or path.name == "jspawnhelper"
            yield File(f"java/{path.relative_to(home)}", path, programs)


GIVEN: dict[str, Callable[[Report], Iterator[File]]] = {
    "root.tar": _root,
    "certificates": _certificates,
    "pip.conf": _pip_conf,
    "kafka": _kafka,
    "java": _java,
}
"""What this machine gives besides single programs, by the name that the table uses."""
