"""Flask below gunicorn on the oldest and the newest Python at hand, with the libraries that pip gives those."""

import sys

import pytest

from tests.integration.carry.conftest import Service, Start
from tests.integration.carry.installed import installed
from tests.integration.carry.test_concurrency import many
from tests.integration.carry.test_interpreters import interpreters
from tests.integration.carry.test_through_a_service import CLIENTS, get, headers, target

PACKAGES = ("flask", "gunicorn", "requests", "httpx", "aiohttp")
PATHS = (
    *(f"/call/{client}" for client in ("requests", "session", "httpx", "aiohttp")),
    *("/thread", "/executor", "/nested-executor", "/thread-pool", "/background-loop"),
    *("/stream", "/stream-with-context", "/asyncio?how=run_in_executor"),
)


def extremes() -> list[str]:
    """The oldest and the newest, by path; what is as new as the tests' own is tried everywhere else."""
    return [path for path in dict.fromkeys((interpreters()[0], interpreters()[-1])) if path != sys.executable]


@pytest.fixture(
    scope="module", params=extremes() or [sys.executable], ids=lambda path: path.strip("/").replace("/", "-")
)
def service(request: pytest.FixtureRequest, start: Start) -> Service:
    """The Flask application on one of them."""
    python: str = request.param
    return start("gthread", behind=installed(*PACKAGES, python=python), python=python)


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_carries_on_the_oldest_and_the_newest(service: Service, client: str) -> None:
    for given in (headers(), {}, headers()):
        answer = get(service, f"/call/{client}", given, url=target())
        assert (answer.json()["carried"], answer.json()["twice"]) == (given, [])
        assert answer.headers["x-pillion-carry"] == "1"


async def test_hundreds_of_concurrent_requests_stay_apart_there(service: Service) -> None:
    await many(service.url, 300, 8, PATHS)
    assert "a fault of the hook" not in service.log.read_text()
