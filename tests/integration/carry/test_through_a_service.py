"""What an unmodified Flask service carries, below each kind of server and through each client."""

import uuid

import pytest
import requests

from agent.demo.process import Process
from tests.integration.carry.conftest import HERE, Service, Start
from tests.integration.carry.recorder import Recorder
from tests.waiting import until

CLIENTS = ("requests", "session", "urllib", "urllib3", "http_client", "httpx", "httpx_async", "aiohttp")
THREADED = ("gthread", "gevent", "flask run")


def headers(tracestate: str = "vendor=a1,other=x y") -> dict[str, str]:
    """The headers of a new request, as the sidecar would set them."""
    trace, span = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    return {
        "traceparent": f"00-{trace}-{span}-01",
        "tracestate": tracestate,
        "baggage": f"user={trace},tier=gold;p=1",
        "x-request-id": str(uuid.uuid4()),
    }


def get(service: Service, path: str, given: dict[str, str], **query: str) -> requests.Response:
    """A request to the service itself, past any proxy."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(service.url + path, headers=given, params=query, timeout=60)
    answer.raise_for_status()
    return answer


def target(host: str = "orders") -> str:
    """A URL that only one test asks for."""
    return f"http://{host}/{uuid.uuid4().hex}"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_call_to_another_service_carries_all_four_headers_once(service: Service, client: str) -> None:
    given = headers()
    seen = get(service, f"/call/{client}", given, url=target()).json()
    assert seen["carried"] == given
    assert seen["twice"] == []


@pytest.mark.parametrize("client", CLIENTS)
def test_a_request_without_the_headers_carries_none_and_inherits_none(service: Service, client: str) -> None:
    get(service, f"/call/{client}", headers(), url=target())
    assert get(service, f"/call/{client}", {}, url=target()).json()["carried"] == {}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_host_outside_the_mesh_gets_nothing(service: Service, client: str) -> None:
    assert get(service, f"/call/{client}", headers(), url=target("api.example.com")).json()["carried"] == {}


@pytest.mark.parametrize("client", ["requests", "urllib", "httpx", "httpx_async", "aiohttp"])
def test_a_declared_local_port_gets_the_headers_without_a_proxy(
    service: Service, recorder: Recorder, client: str
) -> None:
    given = headers()
    url = f"{recorder.url}/{uuid.uuid4().hex}"
    assert get(service, f"/call/{client}", given, url=url).json()["carried"] == given


def test_a_tunnel_leads_out_and_gets_nothing(service: Service, recorder: Recorder) -> None:
    assert get(service, "/call/tunnel", headers(), url=target()).json()["carried"] == {}
    assert [one["carried"] for one in recorder.seen if one["method"] == "CONNECT"][-1:] == [{}]


def test_what_the_caller_sets_itself_stays_and_is_not_mixed_with_ours(start: Start) -> None:
    service = start()
    given, own = headers(), headers()["traceparent"]
    seen = get(service, "/own-headers", given, url=target(), Traceparent=own).json()
    assert seen["carried"] == {
        "traceparent": own,
        "baggage": given["baggage"],
        "x-request-id": given["x-request-id"],
    }


@pytest.mark.parametrize("client", ["requests", "httpx"])
def test_a_redirect_out_of_the_mesh_takes_nothing_along(start: Start, client: str) -> None:
    service, outside = start(), target("api.example.com")
    given = headers()
    seen = get(service, "/follow", given, url=f"{target()}?redirect={outside}", client=client).json()
    assert (seen["target"], seen["carried"]) == (outside, {})


def test_a_thread_carries_its_request(service: Service) -> None:
    given = headers()
    assert get(service, "/thread", given, url=target()).json()["carried"] == given


def test_executors_carry_the_request_of_each_piece_of_work(service: Service) -> None:
    for given in (headers(), {}, headers()):
        answers = get(service, "/executor", given, url=target()).json()
        assert [one["carried"] for one in answers] == [given] * 3


def test_greenlets_carry_their_request(start: Start) -> None:
    given = headers()
    answers = get(start("gevent"), "/greenlet", given, url=target()).json()
    assert [one["carried"] for one in answers] == [given] * 7


async def test_work_that_outlives_its_response_still_carries_its_request(
    start: Start, recorder: Recorder
) -> None:
    service, given, url = start("gthread"), headers(), target()
    get(service, "/after", given, url=url)
    get(service, "/go", headers())
    await until(lambda: any(one["target"] == url for one in recorder.seen))
    assert recorder.of(url)["carried"] == given


async def test_a_streamed_body_and_its_end_carry_their_request(service: Service, recorder: Recorder) -> None:
    given, url = headers(), target()
    lines = get(service, "/stream", given, url=url).iter_lines()
    assert len(list(lines)) == 3
    parts = ["0", "1", "2"]
    if service.name != "uvicorn":  # its adapter for WSGI closes no body
        await until(lambda: any(one["target"] == f"{url}/closed" for one in recorder.seen))
        parts.append("closed")
    for part in parts:
        assert recorder.of(f"{url}/{part}")["carried"] == given


def test_streams_that_alternate_on_one_worker_keep_their_own_request(
    start: Start, recorder: Recorder
) -> None:
    """Two bodies are read in turns, so that their steps interleave."""
    service = start("gevent")
    requests_given = [(headers(), target()) for _ in range(8)]
    with requests.Session() as session:
        session.trust_env = False
        answers = [
            session.get(f"{service.url}/stream", headers=given, params={"url": url}, stream=True, timeout=30)
            for given, url in requests_given
        ]
        bodies = [answer.iter_lines() for answer in answers]
        while any([next(body, None) for body in bodies]):  # noqa: C419 each body advances in each turn
            continue
    for given, url in requests_given:
        assert [recorder.of(f"{url}/{part}")["carried"] for part in range(3)] == [given] * 3


def test_a_file_is_sent_whole(service: Service) -> None:
    assert "def file()" in get(service, "/file", headers()).text


def test_the_response_says_that_the_hook_is_there(service: Service) -> None:
    assert get(service, "/call/requests", {}, url=target()).headers["x-pillion-carry"] == "1"


@pytest.mark.parametrize("server", ["gevent_pywsgi", "asgi"])
def test_other_workers_of_gunicorn_carry_too(start: Start, server: str) -> None:
    service = start(f"-k {server}", "asynchronous" if server == "asgi" else "application")
    given = headers()
    answer = get(service, "/call/aiohttp", given, url=target())
    assert answer.json()["carried"] == given
    assert answer.headers["x-pillion-carry"] == "1"
    assert get(service, "/call/aiohttp", {}, url=target()).json()["carried"] == {}


def test_invalid_headers_end_here(start: Start) -> None:
    service = start()
    given = {
        "traceparent": "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "tracestate": "a=1",
        "x-request-id": "a b",
    }
    assert get(service, "/call/requests", given, url=target()).json()["carried"] == {}


def test_without_the_hook_nothing_is_carried(start: Start) -> None:
    service = start("sync", PILLION_CARRY="off")
    answer = get(service, "/call/requests", headers(), url=target())
    assert answer.json()["carried"] == {}
    assert "x-pillion-carry" not in answer.headers


def test_an_exception_of_the_application_is_the_server_s_to_answer(service: Service) -> None:
    with pytest.raises(requests.HTTPError, match="500"):
        get(service, "/boom", headers())


@pytest.mark.parametrize("broken", ["headers.check", "context.current", "mesh.holds"])
def test_a_fault_of_the_hook_never_reaches_the_application(start: Start, broken: str) -> None:
    """The next sitecustomize, which the hook runs as it must, breaks one of its functions."""
    service = start("gthread", behind=HERE / "broken", BROKEN=broken)
    assert get(service, "/call/requests", headers(), url=target()).json()["carried"] == {}
    assert "broken on purpose" in service.log.read_text()


@pytest.mark.parametrize(("broken", "path"), [("threads._lent", "/thread"), ("threads.work", "/executor")])
def test_a_fault_in_handing_the_context_on_leaves_the_work_without_it(
    start: Start, broken: str, path: str
) -> None:
    service = start("gthread", behind=HERE / "broken", BROKEN=broken)
    answer = get(service, path, headers(), url=target()).json()
    assert "carried': {'" not in str(answer)
    assert "broken on purpose" in service.log.read_text()


def test_the_log_has_no_fault_of_the_hook(service: Service) -> None:
    """PILLION_CARRY=debug prints each; the last test of the file, after all others used these processes."""
    assert isinstance(service, Process)
    assert "a fault of the hook" not in service.log.read_text()
