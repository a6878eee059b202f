"""TLS at the gateway, with the certificate that the agent serves to Envoy."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from agent.config.settings import Settings
from agent.demo import backing
from agent.model.address import Address
from agent.model.revision import Revision
from agent.proxy import assets, certificates
from agent.proxy.metrics import Metrics
from agent.proxy.planner import plan_gateway, tls
from agent.proxy.reread import Reread
from agent.proxy.snapshot import Snapshot
from agent.proxy.xds.secrets import SecretServer
from agent.proxy.xds.server import AdsServer
from agent.proxy.xds.store import SnapshotStore
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.pki import Authority, put
from tests.integration.proxy_plan.raw import opened, read, request, send
from tests.integration.proxy_plan.rig import catalog, echo, instance, settings
from tests.integration.xds.rig import Envoy
from tests.waiting import until


class Gateway:
    """What of an agent serves a gateway's Envoy: the plan, the certificate, both over one socket."""

    def __init__(self, folder: Path, port: int, **over: Any) -> None:
        self.folder = folder
        self.settings: Settings = settings({"service": {"name": "gateway"}, "gateway": over})
        self.address = Address.parse(self.settings.gateway.listen)
        self.snapshot = plan_gateway(self.settings, catalog(orders=[instance(port)]), assets.load())
        self.revision: Latest[Revision] = Latest(Revision())
        self.board = Board(lambda: 0.0)
        self.reread: Reread[certificates.Certificates] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Gateway"]:
        """Serve for a while."""
        given = self.settings.gateway.tls
        first = certificates.read(given)
        certificates.judge(given, first)
        material = Latest(first)
        self.reread = Reread(
            "certificates", partial(certificates.read, given), partial(certificates.judge, given), material.set,
            first=first, health=self.board.of("c"),
        )  # fmt: skip
        ads = AdsServer(
            self.folder / "x.sock", Latest[Snapshot | None](self.snapshot), self.revision,
            SnapshotStore(self.folder / "snapshot.json"), health=self.board.of("xds"),
            metrics=Metrics(CollectorRegistry()), beside=[SecretServer(tls.CERTIFICATE, tls.CLIENTS, material)],
        )  # fmt: skip
        task = asyncio.create_task(ads.run(lambda: None))
        try:
            await until((self.folder / "x.sock").exists)
            yield self
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def turn(self) -> None:
        """Look at the files as the agent does every second."""
        assert self.reread is not None
        await self.reread.turn()


def trusting(authority: Authority, *pair: Path, alpn: str = "http/1.1") -> ssl.SSLContext:
    """A client that trusts the authority, with a certificate of its own if one is given."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.set_alpn_protocols([alpn])
    if pair:
        context.load_cert_chain(*pair)
    return context


async def presented(gateway: Gateway, context: ssl.SSLContext) -> str:
    """The serial number of the certificate that a new connection gets; empty while there is no connection."""
    try:
        _, writer = await asyncio.open_connection(gateway.address.host, gateway.address.port, ssl=context)
    except OSError:
        return ""
    found = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    return str(found)


@contextmanager
def started(folder: Path) -> Iterator[Envoy]:
    """The real Envoy with the agent's own bootstrap."""
    envoy = Envoy(folder, concurrency=1)
    try:
        envoy.start()
        yield envoy
    finally:
        envoy.stop(5)


def files(folder: Path, authority: Authority, **more: Any) -> dict[str, Any]:
    """Settings of TLS with a certificate on disk."""
    chain, key = authority.issue(folder / "pki")
    return {"certificate": str(chain), "key": str(key), **more}


async def test_clients_are_served_by_tls(folder: Path) -> None:
    """HTTP/1.1 and HTTP/2 by ALPN; services are told of https; nothing but TLS, and not an old one."""
    authority = Authority()
    async with (
        echo("orders") as port,
        Gateway(folder, port, tls=files(folder, authority, hsts=600)).running() as one,
    ):
        with started(folder):
            context = trusting(authority)
            await until(lambda: presented(one, context))
            reply = await send(one.address, request("/orders/x", "X-Forwarded-Proto: http"), tls=context)
            assert (reply.status, reply.json["headers"]["x-forwarded-proto"]) == (200, "https")
            assert reply.headers["strict-transport-security"] == "max-age=600"
            async with opened(one.address, trusting(authority, alpn="h2")) as (_, writer):
                assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
            assert (await send(one.address, request("/orders/x"))).status == 0
            old = trusting(authority)
            old.set_ciphers("DEFAULT:@SECLEVEL=0")
            with pytest.warns(DeprecationWarning, match="TLSv1_1"):
                old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(one.address.host, one.address.port, ssl=old)


async def test_a_new_certificate_breaks_no_connection(folder: Path) -> None:
    """New connections get it at once; requests on the old ones go on, for ever."""
    authority = Authority()
    async with echo("orders") as port, Gateway(folder, port, tls=files(folder, authority)).running() as one:
        with started(folder):
            context = trusting(authority)
            await until(lambda: presented(one, context))
            before = await presented(one, context)
            async with opened(one.address, context) as (reader, writer):
                for turn in range(5):
                    authority.issue(folder / "pki")
                    await one.turn()
                    await until(partial(differs, one, context, before))
                    before = await presented(one, context)
                    writer.write(request(f"/orders/{turn}"))
                    reply = await read(reader)
                    assert reply.status == 200
                    assert "connection" not in reply.headers


async def differs(gateway: Gateway, context: ssl.SSLContext, before: str) -> bool:
    """Whether new connections get another certificate."""
    return await presented(gateway, context) not in ("", before)


async def test_a_load_loses_no_request_while_certificates_change(folder: Path) -> None:
    authority = Authority()
    failed: list[str] = []
    done = 0
    async with echo("orders") as port, Gateway(folder, port, tls=files(folder, authority)).running() as one:
        with started(folder):
            context = trusting(authority)
            await until(lambda: presented(one, context))
            stop = asyncio.Event()

            async def load(http: aiohttp.ClientSession) -> None:
                nonlocal done
                while not stop.is_set():
                    try:
                        async with http.get(f"https://{one.address}/orders/x", ssl=context) as answer:
                            await answer.read()
                            done += 1
                            if answer.status != 200:
                                failed.append(str(answer.status))
                    except aiohttp.ClientError as error:
                        failed.append(repr(error))

            # Half of the clients open a connection for each request.
            async with (
                aiohttp.ClientSession() as keeping,
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as opening,
                asyncio.TaskGroup() as tasks,
            ):
                for client in (keeping, opening) * 4:
                    tasks.create_task(load(client))
                for _ in range(20):
                    served, before = done, await presented(one, context)
                    authority.issue(folder / "pki")
                    await one.turn()
                    await until(partial(differs, one, context, before), within=60)
                    await until(lambda served=served: done > served + 5, within=60)
                stop.set()
    assert failed == []


async def test_files_that_do_not_fit_leave_the_last_good_certificate(folder: Path) -> None:
    """Half of a pair, no file, no PEM, a key with a passphrase: told, and served as before."""
    authority = Authority()
    given = files(folder, authority)
    chain, key = Path(given["certificate"]), Path(given["key"])
    good = chain.read_bytes(), key.read_bytes()
    other = authority.issue(folder / "other")
    async with echo("orders") as port, Gateway(folder, port, tls=given).running() as one:
        with started(folder):
            context = trusting(authority)
            await until(lambda: presented(one, context))
            before = await presented(one, context)
            for path, content in (
                (chain, other[0].read_bytes()), (key, other[1].read_bytes() + b"x"), (chain, b""), (chain, b"no pem"),
            ):  # fmt: skip
                put(path, content)
                await one.turn()
                report = one.board.reports["c"]
                assert report.state == "degraded"
                assert str(chain) in report.detail
                assert "PRIVATE" not in report.detail
                assert await presented(one, context) == before
                put(chain, good[0])
                put(key, good[1])
                await one.turn()
                assert one.board.reports["c"].state == "ok"
            key.unlink()
            await one.turn()
            assert str(key) in one.board.reports["c"].detail


async def test_clients_show_a_certificate_where_one_is_asked_for(folder: Path) -> None:
    """Of the named authority; services learn whose it is, and only so."""
    authority, clients, strangers = Authority(), Authority("clients"), Authority("strangers")
    ca = folder / "clients.pem"
    ca.write_bytes(clients.pem)
    alice, evil = clients.issue(folder / "a", "alice"), strangers.issue(folder / "e", "evil")
    given = files(folder, authority, client_ca=str(ca))
    lie = 'X-Forwarded-Client-Cert: Subject="CN=root"'
    async with echo("orders") as port, Gateway(folder, port, tls=given).running() as one:
        with started(folder):
            context = trusting(authority, *alice)
            await until(lambda: presented(one, context))
            reply = await send(one.address, request("/orders/x", lie), tls=context)
            told = reply.json["headers"]["x-forwarded-client-cert"]
            assert 'Subject="CN=alice"' in told
            assert "root" not in told
            for bad in (trusting(authority), trusting(authority, *evil)):
                try:
                    answered = (await send(one.address, request("/orders/x"), tls=bad)).status
                except (ssl.SSLError, ConnectionError):
                    answered = 0
                assert answered == 0
            # The authorities change as the certificate does.
            put(ca, strangers.pem)
            await one.turn()
            await until(lambda: refused(one, context))
            assert (
                await send(one.address, request("/orders/x"), tls=trusting(authority, *evil))
            ).status == 200


async def refused(gateway: Gateway, context: ssl.SSLContext) -> bool:
    """Whether a request with this client's certificate gets no answer."""
    try:
        return (await send(gateway.address, request("/orders/x"), tls=context)).status == 0
    except (ssl.SSLError, ConnectionError):
        return True


async def test_the_key_is_in_no_file_and_no_dump(folder: Path) -> None:
    """Neither in the snapshot that is kept, nor in the plan, nor in what Envoy tells of its configuration."""
    authority = Authority()
    given = files(folder, authority)
    secret = "".join(Path(given["key"]).read_text().splitlines()[1:3])
    async with echo("orders") as port, Gateway(folder, port, tls=given).running() as one:
        with started(folder) as envoy:
            context = trusting(authority)
            await until(lambda: presented(one, context))
            await until((folder / "snapshot.json").exists)
            connector = aiohttp.UnixConnector(path=str(envoy.admin))
            async with (
                aiohttp.ClientSession(connector=connector) as http,
                http.get("http://envoy/config_dump?include_eds") as answer,
            ):
                dump = await answer.text()
    told = [json.dumps(dict(one.snapshot.listeners)), dump, repr(certificates.read(one.settings.gateway.tls))]
    found = [path.read_text(errors="replace") for path in folder.iterdir() if path.is_file()]
    for text in (*told, *found):
        flat = text.replace("\\n", "").replace("\n", "")
        assert secret not in flat
        assert "PRIVATE KEY" not in flat


async def test_clients_are_sent_from_http_to_https(folder: Path) -> None:
    """With method and body (308), whatever the path; nothing of a request reaches a service without TLS."""
    authority = Authority()
    plain = f"127.0.0.1:{backing.free_port()}"
    over = {"tls": files(folder, authority), "redirect": plain}
    async with echo("orders") as port, Gateway(folder, port, **over, redirect_port=8443).running() as one:
        with started(folder):
            await until(lambda: presented(one, trusting(authority)))
            await until(lambda: backing.tcp_ok(Address.parse(plain).port))
            for method, target in (("GET", "/orders/x?a=b"), ("POST", "/nothing"), ("GET", "/")):
                reply = await send(
                    Address.parse(plain), request(target, method=method, host="shop.example:80")
                )
                assert (reply.status, reply.headers["location"]) == (
                    308,
                    f"https://shop.example:8443{target}",
                )


async def test_an_envoy_goes_on_while_the_agent_is_away(folder: Path, start: Start) -> None:
    """And takes the certificate of the agent that comes back."""
    authority = Authority()
    async with echo("orders") as port:
        gateway = Gateway(folder, port, tls=files(folder, authority))
        with started(folder):
            context = trusting(authority)
            async with gateway.running():
                await until(lambda: presented(gateway, context))
                before = await presented(gateway, context)
            assert await presented(gateway, context) == before
            authority.issue(folder / "pki")
            async with gateway.running():
                # Envoy tries ever more rarely while nobody is there.
                await until(partial(differs, gateway, context, before), within=60)
                assert (await send(gateway.address, request("/orders/x"), tls=context)).status == 200
