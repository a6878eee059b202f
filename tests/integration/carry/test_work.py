"""Work that a request gives to threads, executors, loops, queues and processes."""

import random

import pytest
import requests

from tests.integration.carry.conftest import Service, Start
from tests.integration.carry.recorder import Recorder
from tests.integration.carry.test_through_a_service import get, headers, target
from tests.waiting import until

FOREIGN = ("/queue", "/thread-pool", "/background-loop")
"""Routes whose worker is made by the first request and serves all."""


@pytest.fixture(scope="module", params=["gthread", "gevent", "flask run", "waitress", "uvicorn"])
def service(request: pytest.FixtureRequest, start: Start) -> Service:
    """The Flask application below servers that work on several requests at once."""
    return start(request.param)


def carried(service: Service, path: str, given: dict[str, str], **query: str) -> list[dict[str, str]]:
    """What each call of one request carried."""
    answer = get(service, path, given, url=target(), **query).json()
    return [one["carried"] for one in (answer if isinstance(answer, list) else [answer])]


def test_an_executor_within_an_executor_carries_the_request(service: Service) -> None:
    for given in (headers(), {}, headers()):
        assert carried(service, "/nested-executor", given) == [given]


@pytest.mark.parametrize("how", ["run_in_executor", "default executor", "create_task", "to_thread"])
def test_a_loop_within_a_sync_view_carries_the_request(service: Service, how: str) -> None:
    for given in (headers(), {}, headers()):
        assert carried(service, "/asyncio", given, how=how) == [given]


def test_a_pool_of_threads_made_by_the_first_request_carries_each_one_s_own(service: Service) -> None:
    for given in (headers(), headers(), {}, headers()):
        assert carried(service, "/thread-pool", given) == [given] * 3


def test_a_loop_in_a_background_thread_carries_each_request_s_own(service: Service) -> None:
    for given in (headers(), headers(), {}, headers()):
        assert carried(service, "/background-loop", given) == [given]


def test_workers_on_a_queue_that_one_request_made_carry_it(service: Service) -> None:
    for given in (headers(), headers()):
        assert carried(service, "/own-queue", given) == [given] * 4


def test_a_worker_on_a_shared_queue_never_carries_another_request(service: Service) -> None:
    """It was started by the first request; the second's item ends that."""
    first = headers()
    assert carried(service, "/queue", first)[0] in (first, {})
    for given in (headers(), {}, headers()):
        assert carried(service, "/queue", given) == [{}]


def test_a_forked_process_starts_with_nothing(start: Start) -> None:
    assert carried(start("sync"), "/process", headers()) == [{}]


async def test_a_stream_with_flask_s_own_context_carries_its_request(
    service: Service, recorder: Recorder
) -> None:
    given, url = headers(), target()
    assert len(get(service, "/stream-with-context", given, url=url).text.splitlines()) == 3
    assert [recorder.of(f"{url}/{part}")["carried"] for part in range(3)] == [given] * 3


@pytest.mark.parametrize("server", ["sync", "gthread", "gevent", "flask run", "waitress"])
async def test_a_client_that_goes_away_leaves_nothing_behind(
    start: Start, recorder: Recorder, server: str
) -> None:
    """Not with uvicorn, whose adapter for WSGI goes on for ever then."""
    service, given, url = start(server), headers(), target()
    with requests.Session() as session:
        session.trust_env = False
        with session.get(f"{service.url}/endless", headers=given, params={"url": url}, stream=True) as answer:
            answer.raw.read(10)
    await until(lambda: any(one["target"] == f"{url}/gone" for one in recorder.seen))
    assert recorder.of(f"{url}/gone")["carried"] == given
    for _ in range(20):
        assert carried(service, "/call/requests", {}) == [{}]


def test_one_connection_serves_different_requests_and_mixes_nothing(service: Service) -> None:
    """The service keeps its connections to the other side; each request on them has its own headers."""
    seen, peers = [], []
    for given in [headers() if number % 3 else {} for number in range(12)]:
        answer = get(service, "/call/session", given, url=target()).json()
        seen.append(answer["carried"] == given)
        peers.append(answer["peer"])
    assert all(seen)
    assert len(set(peers)) < len(peers)


def test_a_repeated_try_carries_the_headers_once(service: Service, recorder: Recorder) -> None:
    given, url = headers(), f"{target()}?once=503"
    answer = get(service, "/call/session", given, url=url).json()
    tries = [one for one in recorder.seen if one["target"] == url]
    assert len(tries) == 2
    assert [(one["carried"], one["twice"]) for one in tries] == [(given, [])] * 2
    assert answer["carried"] == given


@pytest.mark.parametrize("client", ["requests", "httpx"])
def test_a_redirect_within_the_mesh_carries_the_headers_once_on_each_hop(
    service: Service, recorder: Recorder, client: str
) -> None:
    given, second = headers(), target("shop")
    first = f"{target()}?redirect={second}"
    get(service, "/follow", given, url=first, client=client)
    for hop in (first, second):
        assert (recorder.of(hop)["carried"], recorder.of(hop)["twice"]) == (given, [])


def test_an_exception_or_a_timeout_leaves_nothing_to_the_next_request(service: Service) -> None:
    order = random.Random(7)
    for _ in range(20):
        with pytest.raises(requests.HTTPError):
            get(service, "/boom", headers())
        given = headers() if order.random() < 0.5 else {}
        assert carried(service, "/call/requests", given) == [given]
