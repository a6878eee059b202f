"""The loop of the backup scripts: when it makes one, and what becomes of one that failed. Programs stand in here."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import until

SCRIPTS = Path(__file__).parents[3] / "compose" / "backup"
KINDS = {"postgres": ("shop-", ".dump"), "consul": ("consul-", ".snap")}
PROGRAMS = {
    # Writes its last argument but one or the file behind --file, as the real ones do; fails where told to.
    "pg_dump": 'while [ "$1" != --file ]; do shift; done; echo dump > "$2"; exit "${FAILS:-0}"',
    "pg_restore": "true",
    "consul": 'if [ "$2" = save ]; then echo snapshot > "$3"; exit "${FAILS:-0}"; fi',
}

Loop = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def loop(kind: str, tmp_path: Path) -> Iterator[Loop]:
    """Starts a script's loop with these programs; it has ended afterwards."""
    programs, started = tmp_path / "programs", []
    programs.mkdir()
    for name, body in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "backups").mkdir()

    def start(fails: int = 0) -> "subprocess.Popen[bytes]":
        environ = {
            "PATH": f"{programs}:{os.environ['PATH']}", "FAILS": str(fails),
            "BACKUPS": str(tmp_path / "backups"), "BACKUP_EVERY": "3600", "BACKUP_KEEP": "2",
        }  # fmt: skip
        with (tmp_path / "said").open("wb") as said:
            process = subprocess.Popen(
                ["sh", SCRIPTS / f"{kind}.sh"], env=environ, stdout=said, stderr=said, start_new_session=True
            )
        started.append(process)
        return process

    yield start
    for process in started:
        os.killpg(process.pid, 9)
        process.wait()


def backups(folder: Path, kind: str) -> list[str]:
    """What can be restored."""
    start, end = KINDS[kind]
    return sorted(path.name for path in (folder / "backups").glob(f"{start}*{end}"))


def made(folder: Path, kind: str, name: str, age: float) -> None:
    """A backup made ``age`` seconds ago."""
    start, end = KINDS[kind]
    path = folder / "backups" / f"{start}{name}{end}"
    path.write_text("backup")
    os.utime(path, (time.time() - age,) * 2)


async def test_the_first_one_is_made_at_once(loop: Loop, kind: str, tmp_path: Path) -> None:
    loop()
    await until(lambda: len(backups(tmp_path, kind)) == 1)


async def test_a_start_makes_none_while_the_newest_is_young(loop: Loop, kind: str, tmp_path: Path) -> None:
    """A server that lost its data would be what the newest is of."""
    made(tmp_path, kind, "20260101T000000Z", age=60)
    process = loop()
    await until(lambda: _sleeps(process.pid))
    assert backups(tmp_path, kind) == [f"{KINDS[kind][0]}20260101T000000Z{KINDS[kind][1]}"]


async def test_an_old_one_is_followed_by_a_new_one_and_only_so_many_are_kept(
    loop: Loop, kind: str, tmp_path: Path
) -> None:
    made(tmp_path, kind, "20200101T000000Z", age=9000)
    made(tmp_path, kind, "20200102T000000Z", age=7200)
    loop()
    await until(
        lambda: len(backups(tmp_path, kind)) == 2 and "20200101" not in "".join(backups(tmp_path, kind))
    )


async def test_what_failed_is_no_backup_and_is_said(loop: Loop, kind: str, tmp_path: Path) -> None:
    process = loop(fails=1)
    await until(lambda: "failed" in (tmp_path / "said").read_text())
    assert process.poll() is None
    assert backups(tmp_path, kind) == []


def _sleeps(pid: int) -> bool:
    """Whether the script waits."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return any(Path(f"/proc/{child}/comm").read_text().strip() == "sleep" for child in children)
