"""Pillion with Envoy and a gunicorn under the filters of the unit: what it refuses, nothing of ours needs."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from agent.demo import backing
from tests.integration.systemd import UNIT, analyze
from tests.ports import free_port
from tests.waiting import until

SANDBOX = (sys.executable, str(Path(__file__).with_name("sandbox.py")), str(UNIT))
APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
"""


class Started:
    """The unit's ExecStart with the unit's environment, a notification socket and free ports."""

    def __init__(self, folder: Path, consul: str) -> None:
        self.folder = folder
        self.inbound = free_port()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        self.notify.setblocking(False)
        (folder / "app.py").write_text(APP)
        self.file = folder / "orders.yaml"
        self.file.write_text(yaml.safe_dump(self._settings(consul)))
        self.log = folder / "log"
        self.process = self._start()

    def _settings(self, consul: str) -> dict[str, object]:
        ports = {"listen": f"127.0.0.1:{free_port()}", "health": f"127.0.0.1:{free_port()}"}
        return {
            "service": {"name": "sandboxed"},
            "registry": {"address": consul, "spread": 0.5},
            "proxy": {
                "inbound": f"127.0.0.1:{self.inbound}",
                "outbound": f"127.0.0.1:{free_port()}",
                "drain_time": 1,
            },
            "admin": ports,
        }

    def _start(self) -> "subprocess.Popen[bytes]":
        pillion = [sys.executable, "-m", "agent", "run", "--config", str(self.file), "--"]
        service = [sys.executable, "-m", "gunicorn", "--chdir", str(self.folder), "app:app"]
        environ = {
            **os.environ,
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "PILLION_STATE_DIR": str(self.folder / "state"),
        }
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [*SANDBOX, *pillion, *service],
                env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def told(self) -> bytes:
        """The next thing that systemd would hear; empty while there is none. RuntimeError where none will come."""
        ended = self.process.poll() is not None
        try:
            return self.notify.recv(4096)
        except BlockingIOError:
            if ended:
                raise RuntimeError(self.log.read_text()) from None
            return b""

    def end(self) -> None:
        """Leave nothing running."""
        self.notify.close()
        try:
            if self.process.poll() is None:
                self.process.terminate()
                self.process.wait(60)
        finally:
            sys.stdout.write(self.log.read_text())


@pytest.fixture
def started(short_folder: Path, shared_consul: backing.Consul) -> Iterator[Started]:
    analyze()  # the groups of system calls are known to it alone
    one = Started(short_folder, shared_consul.url)
    yield one
    one.end()


async def test_the_whole_instance_works_under_the_filters_and_systemd_hears_of_its_start_and_stop(
    started: Started,
) -> None:
    assert await until(started.told, within=60) == b"READY=1"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://127.0.0.1:{started.inbound}/", timeout=30) as answer:
        assert answer.read() == b"served"
    started.process.send_signal(signal.SIGTERM)
    assert (await until(started.told, within=60)).startswith(b"STOPPING=1\nEXTEND_TIMEOUT_USEC=")
    await until(lambda: started.process.poll() is not None, within=60)
    assert started.process.returncode == 0


REFUSED = {
    "memory that is written and run": "import mmap; mmap.mmap(-1, 4096, prot=7)",
    "a raw packet": "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "another priority": "import os; os.nice(-1)",
    "a change of user": "import os; os.setuid(1)",
    "a mount": "import ctypes, os, sys; c = ctypes.CDLL(None, use_errno=True); "
    "c.mount(b'none', b'/mnt', b'tmpfs', 0, None) and sys.exit(os.strerror(ctypes.get_errno()))",
}


@pytest.mark.parametrize("script", REFUSED.values(), ids=list(REFUSED))
def test_what_no_service_needs_is_refused(script: str) -> None:
    analyze()
    done = subprocess.run(
        [*SANDBOX, sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "not permitted" in done.stderr or "not supported" in done.stderr
