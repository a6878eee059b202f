"""One Compose system for all tests here, started from nothing and taken down at the end."""

import platform
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from agent.demo.traffic import Client
from tests.commands import CommandError, run
from tests.compose import layout
from tests.compose.engine import Project, find_compose
from tests.compose.start import Start, start
from tests.compose.system import ComposeSystem
from tests.record import Record

ORDER = ("start", "watching", "walk", "secrets", "rotation", "crashes", "backups", "end", "kafka")
"""The modules that use the system: what only looks first, what destroys last; then the variant, on the same ports."""
OUT = Path(__file__).parents[2] / "build"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--keep`` takes a system that runs already and leaves it running."""
    parser.addoption("--keep", action="store_true", help="use and leave a running Compose system")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules into their order; whole stories take longer than other tests."""
    places = {f"test_{name}.py": number for number, name in enumerate(ORDER)}
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in here:
        if item.path.name in places:
            item.add_marker(pytest.mark.timeout(1800))
    turns = iter(sorted(here, key=lambda item: places.get(item.path.name, -1)))
    items[:] = [next(turns) if item in here else item for item in items]


@pytest.fixture(scope="session")
def record() -> Record:
    """The report, ``build/compose-report.md``."""
    return Record(OUT / "compose-report.md", "The Compose system, measured")


@pytest.fixture(scope="session")
def project(request: pytest.FixtureRequest) -> Iterator[Project]:
    """The Compose project, nothing of it there yet."""
    command = find_compose()
    if shutil.which(command[0]) is None:
        pytest.fail(f"{command[0]} is not installed, or $COMPOSE names no command", pytrace=False)
    try:
        run("docker", "info", within=30)
    except (CommandError, FileNotFoundError) as error:
        pytest.fail(f"Docker does not run here: {error}", pytrace=False)
    project = Project(layout.FILE, "pillion-test", command)
    keep = request.config.getoption("--keep")
    if not keep:
        project.compose("down", "--volumes", "--remove-orphans")
    yield project
    if request.session.testsfailed:
        _keep_logs(project)
    if not keep:
        project.compose("down", "--volumes", "--remove-orphans")


@pytest.fixture(scope="session")
def started(project: Project, record: Record) -> Start:
    """The system built and started, everything healthy; with what that took."""
    version = run(*find_compose(), "version", "--short").strip()
    engine = run("docker", "version", "--format", "{{.Server.Version}}").strip()
    record.section("Machine", [f"Docker {engine}, Compose {version}, {platform.platform()}"])
    return start(project)


@pytest.fixture(scope="session")
def system(project: Project, started: Start) -> ComposeSystem:
    """The running system."""
    return ComposeSystem(project)


@pytest_asyncio.fixture
async def client(system: ComposeSystem) -> AsyncIterator[Client]:
    """Sends requests to the gateway."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        yield Client(session, system.gateway)


def _keep_logs(project: Project) -> None:
    """All containers' logs, for who looks why something failed."""
    OUT.mkdir(exist_ok=True)
    with (OUT / "compose-logs.txt").open("w") as file:
        for name, container in sorted(project.containers().items()):
            file.write(f"\n=== {name}: {container.state}\n{run('docker', 'logs', container.id, both=True)}")
