"""What the supervisor sends to systemd's socket, which is here a real one of the test's."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.supervise.notice import Notice
from tests.integration.supervise.conftest import Instance
from tests.waiting import until


@pytest.fixture
def systemd(short_folder: Path) -> Iterator[socket.socket]:
    """A datagram socket in a folder, as systemd's is."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(short_folder / "notify"))
        receiver.settimeout(60)
        yield receiver


async def test_systemd_hears_of_the_start_and_of_the_stop_and_no_child_can_speak_to_it(
    instance: Instance, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.getsockname())
    process = instance.start(deadline=20.0)
    await instance.ready()
    assert systemd.recv(4096) == b"READY=1"
    for pid in (*instance.pids("agent"), *instance.pids("service"), *instance.pids("envoy")):
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()
    process.send_signal(signal.SIGTERM)
    assert await instance.ended() == 0
    assert systemd.recv(4096) == b"STOPPING=1\nEXTEND_TIMEOUT_USEC=25000000"


def test_an_abstract_socket_is_reached_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"pillion-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name}")
        receiver.settimeout(10)
        Notice(f"@{name}").tell("READY=1")
        assert receiver.recv(4096) == b"READY=1"


async def test_a_socket_that_nobody_reads_neither_stops_nor_ends_anything(
    instance: Instance, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.getsockname())
    systemd.close()
    instance.start()
    await instance.ready()
    instance.send(signal.SIGTERM)
    assert await instance.ended() == 0
    output = instance.folder / "output"
    await until(lambda: "supervisor.untold" in output.read_text())


def test_without_a_socket_nothing_is_sent(capfd: pytest.CaptureFixture[str]) -> None:
    Notice().tell("READY=1")
    assert capfd.readouterr().err == ""
