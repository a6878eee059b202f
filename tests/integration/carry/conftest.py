"""Services as real processes, with the hook switched on as `pillion run` does it."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent import carry
from agent.demo.backing import free_port, tcp_ok
from agent.demo.process import Process
from tests.integration.carry.recorder import Recorder, recording

HERE = Path(__file__).parent
SERVERS = {
    "sync": ["gunicorn", "-k", "sync"],
    "gthread": ["gunicorn", "-k", "gthread", "--threads", "16"],
    "gevent": ["gunicorn", "-k", "gevent"],
    "flask run": ["flask", "--app", "application", "run"],
    "flask debug": ["flask", "--app", "application", "--debug", "run"],
    "otel": ["otel"],
    "ddtrace": ["ddtrace"],
    "wsgiref": ["reference"],
    "waitress": ["waitress", "--threads", "16"],
    "uvicorn": ["uvicorn", "--interface", "wsgi", "--log-level", "warning"],
}


PROGRAMS = {
    "uwsgi": "import pyuwsgi; pyuwsgi.run()",
    "otel": "from opentelemetry.instrumentation.auto_instrumentation import run; run()",
    "ddtrace": "from ddtrace.commands.ddtrace_run import main; main()",
}
"""What the console scripts of these do."""


def arguments(program: str, options: list[str], port: int, module: str, behind: Path = HERE) -> list[str]:
    """How one of the servers is told where to listen and what to serve; ``behind`` may hold it."""
    here, application = f"127.0.0.1:{port}", f"{module}:app"
    match program:
        case "gunicorn":
            return [
                program,
                "--graceful-timeout",
                "2",
                "--timeout",
                "120",
                *options,
                "--bind",
                here,
                "--chdir",
                str(HERE),
                *([] if behind != HERE and _old_gunicorn(behind) else ["--no-control-socket"]),
                application,
            ]
        case "flask":
            return [program, "--app", module, *options[2:], "--port", str(port)]
        case "uwsgi":
            return [
                *options,
                "--http-socket",
                here,
                "--master",
                "--need-app",
                "--module",
                application,
            ]
        case "otel" | "ddtrace":
            gunicorn = arguments("gunicorn", ["-k", "gthread", "--threads", "16"], port, module)
            return [sys.executable, "-m", *gunicorn]
        case "waitress" | "uvicorn":
            return [program, *options, "--host", "127.0.0.1", "--port", str(port), application]
    return [program, *options, str(port)]


def _old_gunicorn(behind: Path) -> bool:
    """Whether the folder holds a gunicorn that has no control socket."""
    return (behind / "gunicorn").exists() and not (behind / "gunicorn" / "ctl").exists()


class Service(Process):
    """One service process on a free port."""

    def __init__(
        self,
        server: str,
        folder: Path,
        env: dict[str, str],
        module: str = "application",
        *,
        python: str = sys.executable,
        behind: Path = HERE,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        program, *options = SERVERS.get(server, server.split())
        if program.startswith("-"):
            program, options = "gunicorn", [program, *options]
        how = ["-c", PROGRAMS[program]] if program in PROGRAMS else ["-m"]
        argv = [python, *how, *arguments(program, options, self.port, module, behind)]
        super().__init__(
            server, argv, folder / "service.log", env={"PATH": os.environ["PATH"], **env}, answers=self._up
        )

    def _up(self) -> bool:
        return tcp_ok(self.port)


def surroundings(recorder: Recorder, ports: tuple[int, ...] = (), behind: Path = HERE) -> dict[str, str]:
    """The environment of a service; the folder ``behind`` comes right after the hook's own."""
    env = {
        "PYTHONPATH": f"{behind}:{HERE}",
        "http_proxy": recorder.url,
        "no_proxy": "127.0.0.1",
        "PYTHONUNBUFFERED": "1",
    }
    return {**env, **carry.environment(env, ports), "PILLION_CARRY": "debug"}


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    """The proxy of all services of a module; take targets of your own."""
    with recording() as running:
        yield running


Start = Callable[..., Service]


@pytest.fixture(scope="module")
def start(recorder: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start services that end with the module."""
    started: list[Service] = []

    def one(
        server: str = "sync",
        module: str = "application",
        behind: Path = HERE,
        python: str = sys.executable,
        **env: str,
    ) -> Service:
        surrounding = {**surroundings(recorder, (recorder.server_port,), behind), **env}
        folder = tmp_path_factory.mktemp("service")
        service = Service(server, folder, surrounding, module, python=python, behind=behind)
        started.append(service)
        service.start(within=60)
        return service

    yield one
    for service in started:
        service.stop()


@pytest.fixture(scope="module", params=[name for name in SERVERS if name not in PROGRAMS])
def service(request: pytest.FixtureRequest, start: Start) -> Service:
    """The Flask application below each kind of server."""
    return start(request.param)
