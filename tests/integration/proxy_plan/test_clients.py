"""Unmodified clients with nothing but the environment that a service is started with."""

import asyncio
import os
import shutil
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from agent.demo import backing
from agent.model.address import Address
from agent.proxy.environment import service_environment
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.raw import opened
from tests.integration.proxy_plan.rig import Sidecar, catalog, echo, instance
from tests.serving import closed

CLIENTS = {
    "requests": "import sys, requests; print(requests.get(sys.argv[1], timeout=float(sys.argv[2]), verify=False).text)",
    "urllib": (
        "import ssl, sys, urllib.request\n"
        "context = ssl._create_unverified_context()\n"
        "print(urllib.request.urlopen(sys.argv[1], timeout=float(sys.argv[2]), context=context).read().decode())"
    ),
    "httpx": "import sys, httpx; print(httpx.get(sys.argv[1], timeout=float(sys.argv[2]), verify=False).text)",
    "aiohttp": (
        "import asyncio, sys, aiohttp\n"
        "async def main():\n"
        "    async with aiohttp.ClientSession(trust_env=True) as http:\n"
        "        limit = aiohttp.ClientTimeout(total=float(sys.argv[2]))\n"
        "        async with http.get(sys.argv[1], ssl=False, timeout=limit) as answer:\n"
        "            print(await answer.text())\n"
        "asyncio.run(main())"
    ),
}
COMMANDS = {
    "curl": ("curl", "-sSk", "-m"),
    "wget": ("wget", "-qO-", "-t", "1", "--no-check-certificate", "-T"),
}
ALL = [*CLIENTS, *COMMANDS]


async def get(client: str, url: str, env: dict[str, str], patience: int = 60) -> tuple[int, str]:
    """The exit status of a GET in a process of its own, which waits at most so many seconds, and what it wrote."""
    argv = (
        [sys.executable, "-W", "ignore", "-c", CLIENTS[client], url, str(patience)]
        if client in CLIENTS
        else [*COMMANDS[client], str(patience), url]
    )
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{client} is not installed")
    whole = {"PATH": os.environ["PATH"], **env}
    process = await asyncio.create_subprocess_exec(*argv, env=whole, stdout=-1, stderr=-2)
    out, _ = await asyncio.wait_for(process.communicate(), patience + 60)
    assert process.returncode is not None
    return process.returncode, out.decode()


def told(sidecar: Sidecar, *, https: bool = False) -> dict[str, str]:
    """The environment of a service beside the sidecar."""
    return service_environment(Address.parse(sidecar.settings.proxy.outbound), {}, {}, https=https)


async def passed(sidecar: Sidecar) -> int:
    """How many requests came to the outbound."""
    found = await sidecar.counters("http.outbound.downstream_rq_total")
    return found["http.outbound.downstream_rq_total"]


@pytest.mark.parametrize("client", ALL)
async def test_a_client_reaches_a_service_by_its_name(folder: Path, start: Start, client: str) -> None:
    async with echo("orders") as port:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(port)])))
        for host in ("orders", "orders.service.consul"):
            code, out = await get(client, f"http://{host}/x", told(sidecar))
            assert code == 0, out
            assert '"name": "orders"' in out
        assert await passed(sidecar) == 2


@pytest.mark.parametrize("client", ALL)
async def test_the_machine_itself_and_the_clouds_metadata_are_asked_directly(
    folder: Path, start: Start, client: str
) -> None:
    """Even a port of our own answers then: nothing of it goes through the sidecar."""
    async with echo("beside") as port:
        sidecar = start(Sidecar(folder, catalog()))
        for host in ("127.0.0.1", "localhost"):
            code, out = await get(client, f"http://{host}:{port}/x", told(sidecar))
            assert code == 0, out
            assert '"name": "beside"' in out
        # Nobody is there; that the sidecar is not asked is what counts.
        await get(client, "http://168.63.129.16:1/", {**told(sidecar)}, patience=2)
        assert await passed(sidecar) == 0


@asynccontextmanager
async def secure(folder: Path) -> AsyncIterator[int]:
    """An https stranger with a certificate of its own making; yields its port."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    made = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
        "-subj", "/CN=stranger", "-keyout", str(key), "-out", str(cert), stdout=-1, stderr=-2,
    )  # fmt: skip
    out, _ = await made.communicate()
    assert made.returncode == 0, out
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="secure")

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await closed(runner)


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("https", [False, True])
async def test_https_goes_through_the_sidecar_only_where_asked_for(
    folder: Path, start: Start, client: str, https: bool
) -> None:
    """As a tunnel; TLS is the client's own with the stranger."""
    async with secure(folder) as port:
        sidecar = start(Sidecar(folder / "e", catalog()))
        env = told(sidecar, https=https)
        env = {
            **env,
            "NO_PROXY": "169.254.169.254",
            "no_proxy": "169.254.169.254",
        }  # the stranger is on this machine
        code, out = await get(client, f"https://127.0.0.1:{port}/x", env)
        assert code == 0, out
        assert "secure" in out
        assert await passed(sidecar) == int(https)


@pytest.mark.parametrize("client", ["requests", "curl", "httpx"])
async def test_https_to_a_service_of_the_mesh_fails_in_the_client(
    folder: Path, start: Start, client: str
) -> None:
    """Services speak http: the tunnel is refused with 502, which clients show."""
    async with echo("orders") as port:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(port)])))
        code, out = await get(client, "https://orders/x", told(sidecar, https=True))
    assert code != 0
    assert "502" in out


async def test_an_explicit_port_serves_a_client_that_knows_no_proxy(folder: Path, start: Start) -> None:
    """http.client, whatever the Host header says; CONNECT and absolute forms lead nowhere else."""
    async with echo("orders") as port, echo("stranger") as stranger:
        own = backing.free_port()
        start(Sidecar(folder, catalog(orders=[instance(port)]), {"upstreams": {"orders": {"port": own}}}))
        for host in (
            "evil.example",
            f"127.0.0.1:{own}",
            "stock",
            "orders:1",
            "ORDERS",
            f"127.0.0.1:{stranger}",
        ):
            status, body = await spoken(own, f"GET /x HTTP/1.1\r\nHost: {host}\r\n")
            assert (status, b'"name": "orders"' in body, b'"host": "orders"' in body) == (200, True, True)
        status, body = await spoken(own, f"GET http://127.0.0.1:{stranger}/x HTTP/1.1\r\nHost: other\r\n")
        assert (status, b'"name": "orders"' in body) == (200, True)
        status, body = await spoken(
            own, f"CONNECT 127.0.0.1:{stranger} HTTP/1.1\r\nHost: 127.0.0.1:{stranger}\r\n"
        )
        assert status == 404


async def spoken(port: int, head: str) -> tuple[int, bytes]:
    """The status and the rest of the answer to a request written by hand."""
    async with asyncio.timeout(60), opened(Address("127.0.0.1", port)) as (reader, writer):
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        whole = await reader.read()
    return int(whole.split(b" ", 2)[1]), whole
