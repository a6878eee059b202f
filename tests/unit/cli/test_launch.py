"""What is found wrong before anything is started."""

import socket
import subprocess
import sys

import pytest

from agent.cli import launch
from agent.config.sections.mesh import Outbound
from agent.config.sections.proxy import Proxy
from agent.config.sections.store import Admin
from agent.config.settings import Settings
from agent.runtime.errors import Misconfigured, Permanent
from tests.ports import free_port


def test_a_command_without_dashes_is_refused_with_the_right_way_to_write_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["pillion", "run", "gunicorn", "app:app"])
    with pytest.raises(Misconfigured, match="pillion run … -- gunicorn app:app"):
        launch.known_to_start(["gunicorn", "app:app"])


def test_a_program_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pillion", "run", "--", "gunicrn"])
    with pytest.raises(Misconfigured, match="'gunicrn', which is no program on PATH"):
        launch.known_to_start(["gunicrn"])
    launch.known_to_start(["sh", "-c", "true"])


def test_who_only_starts_an_agent_loads_nothing_that_running_one_takes() -> None:
    """A start would take half a second more, and in a pod the application waits for it."""
    heavy = "{'aiohttp', 'asyncio', 'consul', 'envoy', 'structlog'}"
    code = f"import sys, agent.cli.run; print(sorted({heavy} & sys.modules.keys()))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_the_dns_listener_of_another_agent_is_noticed() -> None:
    """Over UDP Envoy's sockets let a second one in, which would take half of the queries."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", free_port()))
        free = Proxy(inbound="127.0.0.1:0", outbound="127.0.0.1:0")
        settings = Settings(
            proxy=free,
            admin=Admin(listen="127.0.0.1:0", health=""),
            outbound=Outbound(dns=f"127.0.0.1:{other.getsockname()[1]}"),
        )
        with pytest.raises(Permanent, match=r"outbound\.dns"):
            launch.free(settings, "")
    launch.free(settings, "")
