"""The loop of the backup scripts: when it makes one, and what becomes of one that failed. Programs stand in here."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import until

SCRIPTS = Path(__file__).parents[3] / "compose" / "backup"
KINDS = {"postgres": ("shop-", ".dump"), "consul": ("consul-", ".snap")}
WAITS = 'cd "$BACKUPS/.."; [ ! -e wait ] || { mv wait waiting; while [ -e waiting ]; do sleep 0.05; done; }'
PROGRAMS = {
    # Writes its last argument but one or the file behind --file, as the real ones do; fails where told to.
    # The one that finds the file `wait` goes on only when nobody has `waiting`.
    "pg_dump": f'while [ "$1" != --file ]; do shift; done; echo dump > "$2"; {WAITS}; exit "${{FAILS:-0}}"',
    "pg_restore": "true",
    "consul": f'if [ "$2" = save ]; then echo snapshot > "$3"; {WAITS}; exit "${{FAILS:-0}}"; fi',
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

    def start(*verb: str, fails: int = 0, keep: int = 2) -> "subprocess.Popen[bytes]":
        environ = {
            "PATH": f"{programs}:{os.environ['PATH']}", "FAILS": str(fails),
            "BACKUPS": str(tmp_path / "backups"), "BACKUP_EVERY": "3600", "BACKUP_KEEP": str(keep),
        }  # fmt: skip
        with (tmp_path / "said").open("wb") as said:
            process = subprocess.Popen(
                ["sh", SCRIPTS / f"{kind}.sh", *verb],
                env=environ,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def backups(folder: Path, kind: str) -> list[str]:
    """What can be restored."""
    start, end = KINDS[kind]
    return sorted(path.name for path in (folder / "backups").glob(f"{start}*{end}"))


def files(folder: Path) -> set[str]:
    """All that takes room: whole ones, and what others left."""
    return {path.name for path in (folder / "backups").iterdir() if path.name != ".lock"}


def made(folder: Path, kind: str, name: str, age: float, size: int = 6) -> None:
    """A backup of so many bytes made ``age`` seconds ago."""
    start, end = KINDS[kind]
    path = folder / "backups" / f"{start}{name}{end}"
    path.write_text("b" * size)
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


async def test_what_failed_is_no_backup_and_is_said_and_leaves_nothing(
    loop: Loop, kind: str, tmp_path: Path
) -> None:
    process = loop(fails=1)
    await until(lambda: "failed" in (tmp_path / "said").read_text())
    assert process.poll() is None
    assert files(tmp_path) == set()


async def test_what_a_killed_one_left_goes_before_the_next_needs_the_room(
    loop: Loop, kind: str, tmp_path: Path
) -> None:
    """Also where a Job makes one at a time and no loop begins."""
    start, end = KINDS[kind]
    left = tmp_path / "backups" / f".{start}20260101T000000Z{end}"
    left.write_text("half")
    loop("backup").wait(60)
    assert not left.exists()
    assert len(backups(tmp_path, kind)) == 1


async def test_what_another_one_is_just_writing_stays(loop: Loop, kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    (tmp_path / "wait").touch()
    first = loop("backup")
    await until((tmp_path / "waiting").exists)
    (writing,) = files(tmp_path)
    # Backups are called by the second in which they were begun.
    await until(lambda: time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) not in writing)
    assert loop("backup").wait(60) == 0
    assert (folder / writing).exists()
    (tmp_path / "waiting").unlink()
    assert first.wait(60) == 0
    assert len(backups(tmp_path, kind)) == 2
    assert files(tmp_path) == set(backups(tmp_path, kind))


async def test_one_that_is_told_to_end_leaves_nothing(loop: Loop, kind: str, tmp_path: Path) -> None:
    (tmp_path / "wait").touch()
    process = loop("backup")
    await until((tmp_path / "waiting").exists)
    process.terminate()
    assert process.wait(60) != 0
    assert files(tmp_path) == set()


async def test_more_than_are_to_be_kept_go_also_when_there_is_no_room_for_a_new_one(
    loop: Loop, kind: str, tmp_path: Path
) -> None:
    """Who lowers the number because the volume is full would wait for ever for one that succeeds."""
    for name in ("20200101T000000Z", "20200102T000000Z", "20200103T000000Z"):
        made(tmp_path, kind, name, age=7200)
    assert loop("backup", fails=1).wait(60) != 0
    assert ["20200102" in one or "20200103" in one for one in backups(tmp_path, kind)] == [True, True]


async def test_the_last_one_stays_whatever_number_is_to_be_kept(
    loop: Loop, kind: str, tmp_path: Path
) -> None:
    made(tmp_path, kind, "20200101T000000Z", age=7200)
    assert loop("backup", fails=1, keep=0).wait(60) != 0
    assert len(backups(tmp_path, kind)) == 1


async def test_one_of_an_emptied_server_is_kept_apart_and_nothing_is_removed_for_it(
    loop: Loop, kind: str, tmp_path: Path
) -> None:
    """As the newest it would be restored, and in time push out all that are worth it."""
    start, end = KINDS[kind]
    names = ["20200101T000000Z", "20200102T000000Z"]
    for name in names:
        made(tmp_path, kind, name, age=7200, size=1000)
    assert loop("backup").wait(60) != 0
    assert backups(tmp_path, kind) == [f"{start}{name}{end}" for name in names]
    assert files(tmp_path) == {*backups(tmp_path, kind), f"{start[:-1]}.smaller"}
    said = (tmp_path / "said").read_text()
    assert f"less than half of {start}20200102T000000Z{end}" in said
    assert "backup --smaller" in said

    assert loop("backup", "--smaller").wait(60) == 0
    assert len(backups(tmp_path, kind)) == 2
    assert f"{start}20200101T000000Z{end}" not in backups(tmp_path, kind)
    assert files(tmp_path) == set(backups(tmp_path, kind))


async def test_an_argument_that_means_nothing_makes_no_backup(loop: Loop, kind: str, tmp_path: Path) -> None:
    assert loop("backup", "--smalller").wait(60) == 2
    assert files(tmp_path) == set()


def _sleeps(pid: int) -> bool:
    """Whether the script waits."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return any(_name(child) == "sleep" for child in children)


def _name(pid: str) -> str:
    """What runs in a process; nothing in one that has ended since it was listed."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
