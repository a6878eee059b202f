"""HTTP/2: many requests on one connection, and each has the headers of its own."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.carry.conftest import Service, Start
from tests.integration.carry.multiplexed import Server, multiplexed
from tests.integration.carry.test_through_a_service import get, headers


@pytest.fixture(scope="module")
def peer() -> Iterator[Server]:
    """The service that is called."""
    with multiplexed() as server:
        yield server


@pytest.fixture(scope="module", params=["gthread", "gevent"])
def service(request: pytest.FixtureRequest, start: Start, peer: Server) -> Service:
    """The Flask application, to which the peer's port leads into the mesh."""
    return start(request.param, PILLION_CARRY_PORTS=str(peer.port))


def url(peer: Server) -> str:
    """One that only one test asks for."""
    return f"http://127.0.0.1:{peer.port}/{uuid.uuid4().hex}"


@pytest.mark.parametrize("client", ["httpx_two", "httpx_two_async"])
def test_a_call_by_http_2_carries_all_four_headers_once(service: Service, peer: Server, client: str) -> None:
    for given in (headers(), {}, headers()):
        seen = get(service, f"/call/{client}", given, url=url(peer)).json()
        assert (seen["carried"], seen["twice"]) == (given, [])


def test_requests_on_one_connection_keep_their_own_headers(service: Service, peer: Server) -> None:
    """One after the other: threads that ask at once are given one stream's number at times, by httpcore itself."""
    peers = set()
    for number in range(40):
        given = headers() if number % 4 else {}
        seen: dict[str, Any] = get(service, "/call/httpx_two", given, url=url(peer)).json()
        assert (seen["carried"], seen["twice"]) == (given, [])
        peers.add(seen["peer"])
    assert len(peers) == 1


def test_a_stranger_gets_nothing_by_http_2(start: Start, peer: Server) -> None:
    service = start("gthread", PILLION_CARRY_PORTS="1")
    assert get(service, "/call/httpx_two", headers(), url=url(peer)).json()["carried"] == {}
