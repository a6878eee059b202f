"""What callers meet in front of a service."""

import asyncio
import os
import socket
import sys
import time
from pathlib import Path

import aiohttp
import httpx
from aiohttp import web

from agent.demo import backing
from agent.demo.process import Process
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.rig import APPS, Gunicorn, Sidecar, catalog, echo, with_otlp


async def websocket(request: web.Request) -> web.StreamResponse:
    """Answers every message with itself."""
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    async for message in answer:
        await answer.send_str(f"echo {message.data}")
    return answer


def raw(port: int, text: str) -> str:
    """What comes back for these bytes until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(text.encode())
        found = b""
        while chunk := connection.recv(65536):
            found += chunk
    return found.decode()


async def test_a_websocket_passes(folder: Path, start: Start, http: aiohttp.ClientSession) -> None:
    """In both directions, through outbound and inbound."""
    async with echo(answer=websocket) as port:
        sidecar = start(Sidecar(folder, catalog(), {"service": {"name": "chat", "port": port}}))
        async with http.ws_connect(f"{sidecar.inbound}/talk") as talk:
            for number in range(20):
                await talk.send_str(str(number))
                assert (await talk.receive()).data == f"echo {number}"


async def test_server_sent_events_flow_for_forty_seconds(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Each event arrives when it is made, and no timeout ends the stream."""
    service = start(Gunicorn(folder / "s", "--worker-class", "gthread", "--threads", "4"))
    sidecar = start(Sidecar(folder / "e", catalog(), {"service": {"name": "news", "port": service.port}}))
    async with http.get(f"{sidecar.inbound}/events/40", timeout=aiohttp.ClientTimeout(total=200)) as answer:
        came = [time.monotonic() async for line in answer.content if line.startswith(b"data:")]
    assert len(came) == 9
    assert came[-1] - came[0] > 25, "held back they would come together"


async def test_a_client_that_speaks_http_2_without_tls_is_served(folder: Path, start: Start) -> None:
    """The service gets HTTP/1.1, and each request its own body."""
    async with (
        echo("news") as port,
        httpx.AsyncClient(http1=False, http2=True, trust_env=False, timeout=60) as client,
    ):
        sidecar = start(Sidecar(folder, catalog(), {"service": {"name": "news", "port": port}}))
        for number in range(5):
            answer = await client.post(f"{sidecar.inbound}/{number}", content=f"body {number}")
            assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
            assert (answer.json()["path"], answer.json()["body"]) == (f"/{number}", f"body {number}")


async def test_an_http_1_0_client_is_answered(folder: Path, start: Start) -> None:
    """Without a Host header, and with a body that ends with the connection."""
    service = start(Gunicorn(folder / "s"))
    sidecar = start(Sidecar(folder / "e", catalog(), {"service": {"name": "old", "port": service.port}}))
    port = int(sidecar.inbound.rsplit(":", 1)[1])
    answer = await asyncio.to_thread(raw, port, "GET /x HTTP/1.0\r\n\r\n")
    assert answer.startswith(("HTTP/1.0 200", "HTTP/1.1 200"))
    assert '"path":"/x"' in answer.replace(" ", "")
    assert "chunked" not in answer.lower()


async def test_the_development_server_of_flask_is_served(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """`flask run` speaks HTTP/1.0 or closes after each answer; GET and POST work side by side."""
    port, record = backing.free_port(), folder / "posts"
    argv = [sys.executable, "-m", "flask", "--app", str(APPS / "echo.py"), "run", "--port", str(port)]
    env = {**os.environ, "RECORD": str(record)}
    start(Process("flask", argv, folder / "flask.log", env=env, answers=lambda: backing.tcp_ok(port)))
    sidecar = start(Sidecar(folder / "e", catalog(), {"service": {"name": "dev", "port": port}}))

    async def one(number: int) -> int:
        method = "POST" if number % 2 else "GET"
        async with http.request(
            method, f"{sidecar.inbound}/a", data=f"b{number}" if number % 2 else None
        ) as answer:
            return answer.status

    assert set(await asyncio.gather(*(one(number) for number in range(60)))) == {200}
    assert sorted(record.read_text().split()) == sorted(f"b{number}" for number in range(60) if number % 2)


async def test_headers_that_only_a_sidecar_may_set_do_not_reach_the_service(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Whoever sends them; what the gateway said of the client stays as it was."""
    async with echo() as port:
        sidecar = start(Sidecar(folder, catalog(), {"service": {"name": "orders", "port": port}}))
        sent = {
            "X-Pillion-Anything": "1", "X-Envoy-Retry-On": "5xx", "X-Envoy-Upstream-Rq-Timeout-Ms": "1",
            "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "shop.example", "X-Mine": "kept",
        }  # fmt: skip
        async with http.get(sidecar.inbound, headers=sent) as answer:
            got = (await answer.json())["headers"]
    assert not [name for name in got if name.startswith(("x-pillion", "x-envoy"))]
    assert got["x-forwarded-for"] == "203.0.113.9"
    assert got["x-forwarded-host"] == "shop.example"
    assert got["x-mine"] == "kept"


async def test_a_request_id_is_made_and_one_that_is_there_is_kept(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """The service and the caller see the same, UUID or not, and tracing changes nothing in it."""
    async with echo() as port:
        over = {
            "service": {"name": "orders", "port": port},
            "tracing": {"endpoint": "http://127.0.0.1:1", "sample": 1.0},
        }
        sidecar = start(Sidecar(folder, catalog(), over, change=with_otlp))
        async with http.get(sidecar.inbound) as answer:
            made = (await answer.json())["headers"]["x-request-id"]
            assert answer.headers["X-Request-Id"] == made
            assert len(made) == 36
        for own in ("order-17/no uuid", "7f3b1c52-0000-4000-8000-1234567890ab"):
            async with http.get(sidecar.inbound, headers={"X-Request-Id": own}) as answer:
                assert (await answer.json())["headers"]["x-request-id"] == own
                assert answer.headers["X-Request-Id"] == own


async def test_an_answer_says_the_service_version_and_hides_the_hook(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """X-Service-Version comes from the settings; the carry hook's mark is for the sidecar alone."""

    def answer(_: web.Request) -> web.Response:
        return web.Response(headers={"x-pillion-carry": "1", "Server": "gunicorn"})

    async with echo(answer=answer) as port:
        service = {"name": "orders", "port": port, "version": "1.4.2%"}
        sidecar = start(Sidecar(folder, catalog(), {"service": service}))
        async with http.get(sidecar.inbound) as got:
            assert got.headers["X-Service-Version"] == "1.4.2%"
            assert "x-pillion-carry" not in got.headers
            assert got.headers["Server"] == "gunicorn"
            assert not [name for name in got.headers if name.lower().startswith("x-envoy")]


async def test_an_access_log_line_is_json_without_the_query(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Only when it is asked for."""
    async with echo() as port:
        over = {"service": {"name": "orders", "port": port}, "proxy": {"access_log": True}}
        over["proxy"] |= {
            "inbound": f"127.0.0.1:{backing.free_port()}",
            "outbound": f"127.0.0.1:{backing.free_port()}",
        }
        sidecar = start(Sidecar(folder, catalog(), over))
        async with http.get(f"{sidecar.inbound}/things?token=secret") as answer:
            assert answer.status == 200
        sidecar.stop()
    log = sidecar.log.read_text()
    assert '"url.path":"/things"' in log
    assert '"listener":"inbound"' in log
    assert "secret" not in log


async def test_what_the_gateway_says_of_the_client_reaches_the_service(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Envoy by itself drops a client's certificate that another proxy has seen."""
    said = {
        "X-Forwarded-Client-Cert": 'Subject="CN=alice"',
        "X-Forwarded-For": "203.0.113.9",
        "X-Real-IP": "203.0.113.9",
    }
    async with echo() as port:
        sidecar = start(Sidecar(folder, catalog(), {"service": {"name": "orders", "port": port}}))
        async with http.get(f"{sidecar.inbound}/x", headers=said) as answer:
            got = (await answer.json())["headers"]
    assert {name: got.get(name.lower()) for name in said} == said
