"""Ways of running a service that start its interpreters anew or load the application elsewhere."""

import os
import signal
from pathlib import Path

import pytest
import requests

from tests.integration.carry.conftest import HERE, Service, Start
from tests.integration.carry.installed import installed
from tests.integration.carry.test_through_a_service import get, headers, target
from tests.waiting import until


def check(service: Service) -> None:
    """It carries a request's headers, tells that it does, and keeps nothing."""
    for given in (headers(), {}, headers()):
        answer = get(service, "/call/requests", given, url=target())
        assert answer.json()["carried"] == given
        assert answer.headers["x-pillion-carry"] == "1"


async def eventually(service: Service) -> None:
    """The same, asked again where a connection ends with the process that is replaced."""

    def asked() -> bool:
        try:
            check(service)
        except requests.ConnectionError:
            return False
        return True

    await until(asked, within=60)


@pytest.mark.parametrize(
    "options",
    [
        "-k gthread --threads 4 --preload",
        "-k sync --workers 2 --preload",
        "-k gevent --preload",
        "-k sync --max-requests 1",
        "-k gthread --threads 4 --max-requests 3 --max-requests-jitter 2",
        "-k sync --reload",
    ],
)
async def test_gunicorn_carries_however_it_starts_its_workers(start: Start, options: str) -> None:
    service = start(options)
    for _ in range(4):
        await eventually(service)
    assert "a fault of the hook" not in service.log.read_text()


async def test_a_worker_that_gunicorn_starts_on_a_signal_carries(start: Start) -> None:
    service = start("-k sync")
    assert service.pid is not None
    await until(lambda: "Booting worker" in service.log.read_text(), within=60)
    os.kill(service.pid, signal.SIGHUP)
    await until(lambda: service.log.read_text().count("Booting worker") > 1, within=60)
    await eventually(service)


async def test_the_debugger_s_server_carries_after_a_reload(start: Start, tmp_path: Path) -> None:
    module = tmp_path / "reloaded.py"
    module.write_text("from application import app\n")
    service = start("flask debug", "reloaded", behind=tmp_path)
    check(service)
    module.write_text("from application import app\nCHANGED = True\n")
    await until(lambda: "Detected change" in service.log.read_text(), within=60)
    await eventually(service)


async def test_uvicorn_carries_through_an_asgi_application(start: Start) -> None:
    service = start("uvicorn --log-level warning", "asynchronous")
    check(service)


@pytest.mark.parametrize("options", ["", "--enable-threads --threads 4", "--gevent 10"])
def test_uwsgi_carries_through_flask_s_own_entry(start: Start, options: str) -> None:
    folder = installed("pyuwsgi")
    service = start(f"uwsgi {options}", behind=folder)
    check(service)
    assert service.name.startswith("uwsgi")


def test_the_tests_look_at_the_hook_of_this_checkout(start: Start) -> None:
    service = start()
    assert service.pid is not None
    environ = Path(f"/proc/{service.pid}/environ").read_bytes()
    assert str(HERE.parents[2] / "agent" / "carry" / "site").encode() in environ
