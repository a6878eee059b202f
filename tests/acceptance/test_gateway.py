"""A whole gateway: what it reads from files while it runs, and two side by side."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from functools import partial
from typing import Any

import aiohttp

from tests.acceptance.conftest import Mesh
from tests.acceptance.instance import Instance
from tests.acceptance.load import load
from tests.integration.proxy_plan.pki import Authority, Issuer, key_set, put
from tests.waiting import until


def asked(url: str, authority: Authority, token: str = "") -> int:
    """The status of a GET by TLS; 0 for no answer."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def presented(gateway: Instance) -> str:
    """The certificate that a new connection gets."""
    return ssl.get_server_certificate(("127.0.0.1", gateway.gateway), timeout=30)


async def test_certificate_and_keys_are_replaced_while_requests_go_on(mesh: Mesh) -> None:
    """By TLS and with tokens; the files change on disk, the gateway is not told."""
    authority, old, new = Authority(), Issuer("ES256", "k1"), Issuer("RS256", "k2")
    pki = mesh.folder / "pki"
    chain, key = authority.issue(pki)
    keys = pki / "keys.json"
    put(keys, key_set(old).encode())
    settings: dict[str, Any] = {
        "gateway": {
            "tls": {"certificate": str(chain), "key": str(key)},
            "jwt": {"issuer": "https://login.example", "audiences": ["shop"], "jwks_file": str(keys)},
        }
    }
    await mesh.service("orders").ready()
    gateway = await mesh.gateway(settings).ready()
    url = f"https://127.0.0.1:{gateway.gateway}/orders/"
    await until(lambda: asked(url, authority, old.token()) == 200)
    assert asked(url, authority) == 401
    assert asked(url, authority, new.token()) == 401
    context = ssl.create_default_context(cadata=authority.pem.decode())
    failed: list[str] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http:

        async def goes_on(before: str = "") -> bool:
            """One more request; whether new connections get another certificate than before."""
            async with http.get(url, headers={"Authorization": f"Bearer {old.token()}"}) as answer:
                if answer.status != 200:
                    failed.append(f"{answer.status} {await answer.text()}")
            return presented(gateway) != before

        for _ in range(3):
            before = presented(gateway)
            authority.issue(pki)
            await until(partial(goes_on, before))
        put(keys, b"half of a key s")
        await until(lambda: gateway.status()["components"]["token_keys"]["state"] == "degraded")
        await goes_on()
        put(keys, key_set(old, new).encode())
        await until(lambda: asked(url, authority, new.token()) == 200)
        await goes_on()
    assert failed == []
    put(keys, key_set(new).encode())
    await until(lambda: asked(url, authority, old.token()) == 401)
    secret = "".join(key.read_text().splitlines()[1:3])
    for path in (path for path in gateway.folder.rglob("*") if path.is_file()):
        text = path.read_bytes().decode("latin-1").replace("\\n", "").replace("\n", "")
        assert secret not in text, path
    rendered = run(gateway, "envoy", "render", "--gateway", "--static")
    assert rendered.returncode == 0, rendered.stderr
    assert str(key) in rendered.stdout
    assert secret not in rendered.stdout.replace("\n", "").replace(" ", "")
    assert run(gateway, "envoy", "validate", "--gateway").returncode == 0


def run(gateway: Instance, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command of `pillion` with the gateway's settings."""
    argv = [sys.executable, "-m", "agent", *arguments, "--config", str(gateway.file)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=gateway.folder)


async def test_other_token_keys_cost_no_request(mesh: Mesh) -> None:
    """They are another listener for Envoy: under load open connections end in order, after their answer."""
    first = Issuer("ES256", "k0")
    keys = mesh.folder / "keys.json"
    put(keys, key_set(first).encode())
    jwt = {"issuer": "https://login.example", "audiences": ["shop"], "jwks_file": str(keys)}
    await mesh.service("orders").ready()
    gateway = await mesh.gateway({"gateway": {"jwt": jwt}}).ready()
    url = f"http://127.0.0.1:{gateway.gateway}/orders/"
    given = {"Authorization": f"Bearer {first.token()}"}
    await until(lambda: plain(url, first) == 200)
    issuers = [first]
    async with load(url, headers=given) as record:
        for number in range(1, 5):
            issuers.append(Issuer("ES256", f"k{number}"))
            assert plain(url, issuers[-1]) == 401
            put(keys, key_set(*issuers).encode())
            await until(lambda: plain(url, issuers[-1]) == 200)
            sent = record.sent
            await until(lambda sent=sent: record.sent > sent + 50)
    assert record.failures == []


def plain(url: str, issuer: Issuer) -> int:
    """The status of a GET with a new token of the issuer."""
    asking = urllib.request.Request(url, headers={"Authorization": f"Bearer {issuer.token()}"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asking, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


async def test_a_key_that_belongs_to_another_certificate_is_refused_at_the_start(mesh: Mesh) -> None:
    """With the files' names, and no content."""
    chain, _ = Authority().issue(mesh.folder / "a")
    _, key = Authority().issue(mesh.folder / "b")
    gateway = mesh.gateway({"gateway": {"tls": {"certificate": str(chain), "key": str(key)}}})
    await until(lambda: str(key) in gateway.tail() and str(chain) in gateway.tail(), within=60)
    assert "PRIVATE" not in gateway.tail()


async def test_of_two_gateways_one_may_go(mesh: Mesh) -> None:
    """Both offer the same; one that is told to end loses no request, and the other loses none at all."""
    # Long enough for a busy machine to see that one leaves.
    slow = {"registry": {"address": mesh.consul.url, "spread": 8}}
    one, other = mesh.gateway(slow), mesh.gateway(slow, label="other")
    await mesh.service("orders").ready()
    await one.ready()
    await other.ready()
    urls = [f"http://127.0.0.1:{gateway.gateway}" for gateway in (one, other)]
    for gateway in (one, other):
        await until(partial(answers, gateway))
    assert one.get("/api/versions", one.gateway) == other.get("/api/versions", other.gateway)
    async with load(f"{urls[1]}/orders/") as kept:
        # Each request on a connection of its own: what a balancer in front would send meets the listener.
        async with load(f"{urls[0]}/orders/", headers={"Connection": "close"}) as leaving:
            await until(lambda: leaving.sent > 50)
            one.terminate()
            await until(lambda: one.get("/readyz", one.health)[0] != 200)
            seen = leaving.sent
            await until(lambda: leaving.sent > seen + 10 or one.process.poll() is not None)
        assert leaving.failures == []
        assert await asyncio.to_thread(one.stop) == 0  # the load on the other goes on
        os.kill(other.children()["agent"], signal.SIGKILL)
        sent = kept.sent
        await until(lambda: kept.sent > sent + 50)
    assert kept.failures == []


def answers(gateway: Instance) -> bool:
    """Whether the gateway leads to the service."""
    return gateway.get("/orders/", gateway.gateway)[0] == 200
