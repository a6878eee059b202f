"""The names of the mesh over DNS."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import dns.message
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from agent.demo import backing
from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.proxy import assets
from agent.proxy.planner import plan
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.names import ask, elsewhere, rcode, values
from tests.integration.proxy_plan.rig import Sidecar, catalog, echo, instance, settings
from tests.integration.xds import rig as xds
from tests.waiting import until


def at(host: str, port: int = 15006, **more: str) -> Instance:
    """An instance anywhere."""
    return Instance(f"{host}:{port}", Address(host, port), **more)


class Named(Sidecar):
    """A sidecar with a DNS listener at ``dns``."""

    def __init__(
        self, folder: Path, known: Catalog, *resolvers: str, over: Mapping[str, Any] | None = None
    ) -> None:
        self.dns = f"127.0.0.1:{backing.free_port()}"
        outbound = {"dns": self.dns, "dns_resolvers": resolvers or ("127.0.0.1:1",)}
        super().__init__(folder, known, {"outbound": outbound, **(over or {})})


ORDERS = catalog(
    orders=[at("10.0.0.1"), at("10.0.0.1", 15007), at("10.0.0.2", 80), at("2001:db8::7")],
    four=[at("10.0.0.9")],
    empty=[],
)


async def test_a_and_aaaa_are_the_addresses_of_the_instances(folder: Path, start: Start) -> None:
    """As Consul's own DNS has it: each address once, for at least half a minute."""
    sidecar = start(Named(folder, ORDERS))
    answer = await ask(sidecar.dns, "orders.service.consul")
    assert (rcode(answer), values(answer)) == ("NOERROR", ["10.0.0.1", "10.0.0.2"])
    assert answer.answer[0].ttl == 30
    assert values(await ask(sidecar.dns, "orders.service.consul", "AAAA")) == ["2001:db8::7"]
    with_options = await ask(sidecar.dns, "four.service.consul", edns=0)
    assert values(with_options) == ["10.0.0.9"]


async def test_a_name_without_an_address_of_that_family_is_answered_at_once(
    folder: Path, start: Start
) -> None:
    """getaddrinfo asks for both: a resolver that is away must not hold up what the table knows."""
    async with elsewhere({}, silent=True) as away:
        sidecar = start(Named(folder, ORDERS, away.address))
        answer = await ask(sidecar.dns, "four.service.consul", "AAAA")
        assert values(answer) == []
        assert away.asked == []


async def test_srv_gives_each_instance_with_its_port_the_own_zone_first(folder: Path, start: Start) -> None:
    """Two instances at one address are two targets; each target's name has its address, in the answer and asked for."""
    known = catalog(
        orders=[at("10.0.0.1", zone="a"), at("10.0.0.1", 15007, zone="b"), at("10.0.0.2", zone="b")]
    )
    over = {"service": {"name": "front", "port": 1, "zone": "a"}}
    sidecar = start(Named(folder, known, over=over))
    answer = await ask(sidecar.dns, "_orders._tcp.service.consul", "SRV")
    found = {}
    for text in values(answer):
        priority, weight, port, target = text.split()
        (address,) = values(await ask(sidecar.dns, target))
        found[address, int(port)] = (int(priority), int(weight))
    assert found == {("10.0.0.1", 15006): (0, 1), ("10.0.0.1", 15007): (1, 1), ("10.0.0.2", 15006): (1, 1)}
    more = sorted(record.to_text() for rrset in answer.additional for record in rrset)
    assert more == ["10.0.0.1", "10.0.0.1", "10.0.0.2"]


class Through(AbstractResolver):
    """Resolves names by a DNS listener, for a client that knows of no proxy."""

    def __init__(self, server: str) -> None:
        self.server = server

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        """The A records."""
        return [
            ResolveResult(hostname=host, host=found, port=port, family=family, proto=0, flags=0)
            for found in values(await ask(self.server, host))
        ]

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_name_below_pillion_leads_through_the_sidecar(folder: Path, start: Start) -> None:
    """At the outbound's port it is a request like any other, balanced over the instances."""
    async with echo("one") as one, echo("two") as two:
        known = catalog(orders=[instance(one), instance(two)], empty=[])
        sidecar = start(Named(folder, known))
        port = sidecar.settings.proxy.outbound.rpartition(":")[2]
        assert values(await ask(sidecar.dns, "orders.pillion")) == ["127.0.0.1"]
        connector = aiohttp.TCPConnector(resolver=Through(sidecar.dns), use_dns_cache=False)
        async with aiohttp.ClientSession(connector=connector) as http:
            seen = set()
            for _ in range(20):
                async with http.get(f"http://orders.pillion:{port}/x") as answer:
                    seen.add((await answer.json())["name"])
            async with http.get(f"http://empty.pillion:{port}/") as answer:
                assert answer.status == 503
        assert seen == {"one", "two"}


async def test_other_names_are_asked_elsewhere(folder: Path, start: Start) -> None:
    """Also a service without instances, and a known one in upper case, which the table does not find."""
    table = {
        "example.org": "192.0.2.1",
        "orders.service.consul": "192.0.2.2",
        "node.node.consul": "192.0.2.3",
    }
    async with elsewhere(table) as other:
        sidecar = start(Named(folder, ORDERS, other.address))
        for name, found in (
            ("example.org", "192.0.2.1"), ("node.node.consul", "192.0.2.3"), ("Orders.Service.Consul", "192.0.2.2"),
        ):  # fmt: skip
            answer = await ask(sidecar.dns, name)
            assert (rcode(answer), values(answer)) == ("NOERROR", [found])
            assert answer.answer[0].ttl == 300, "Envoy is not told how long the other allows"
        for name in ("empty.service.consul", "no.such.name", "late.pillion"):
            assert rcode(await ask(sidecar.dns, name)) == "NXDOMAIN"
        asked = [name for name, _ in other.asked]
        assert {"empty.service.consul", "no.such.name", "late.pillion"} <= set(asked)


async def test_what_the_listener_can_not_answer_it_says_at_once(folder: Path, start: Start) -> None:
    """SRV of unknown names and other types are never asked elsewhere."""
    async with elsewhere({}) as other:
        sidecar = start(Named(folder, ORDERS, other.address))
        for name in ("_ghost._tcp.service.consul", "orders.service.consul", "_http._tcp.example.org"):
            assert rcode(await ask(sidecar.dns, name, "SRV")) == "NXDOMAIN"
        for kind in ("TXT", "MX", "NS"):
            assert rcode(await ask(sidecar.dns, "example.org", kind)) == "NOTIMP"
        assert other.asked == []


async def test_a_resolver_that_is_away_holds_up_nothing_of_the_mesh(folder: Path, start: Start) -> None:
    """Unknown names end within five seconds where it is silent, at once where its port is closed."""
    async with elsewhere({}, silent=True) as away:
        silent = start(Named(folder / "silent", ORDERS, away.address))
        closed = start(Named(folder / "closed", ORDERS, f"127.0.0.1:{backing.free_port()}"))

        async def timed(server: str, name: str) -> float:
            began = time.monotonic()
            assert rcode(await ask(server, name, timeout=30)) == "NXDOMAIN"
            return time.monotonic() - began

        unknown = asyncio.create_task(timed(silent.dns, "example.org"))
        await until(lambda: away.asked)
        meanwhile = 0
        while not unknown.done():
            assert rcode(await ask(silent.dns, "orders.service.consul")) == "NOERROR"
            meanwhile += 1
        assert meanwhile > 2, "one that waits for the other counts as one"
        assert await unknown < 8, "five seconds, and room for a busy machine"
        assert await timed(closed.dns, "example.org") < await timed(silent.dns, "example.com")


async def test_a_second_resolver_is_asked_when_the_first_is_away(folder: Path, start: Start) -> None:
    """Or refuses; then it is asked last, which is why all of them have to know the same names."""
    async with (
        elsewhere({"example.org": "192.0.2.1"}) as second,
        elsewhere({"node.node.consul": "192.0.2.3"}, zone=".consul") as consul,
    ):
        away = start(Named(folder / "away", ORDERS, f"127.0.0.1:{backing.free_port()}", second.address))
        assert values(await ask(away.dns, "example.org")) == ["192.0.2.1"]
        unequal = start(Named(folder / "unequal", ORDERS, consul.address, second.address))
        assert values(await ask(unequal.dns, "node.node.consul")) == ["192.0.2.3"]
        assert values(await ask(unequal.dns, "example.org")) == ["192.0.2.1"]
        assert rcode(await ask(unequal.dns, "node.node.consul")) == "NXDOMAIN"


async def test_a_large_service_fits_its_answers(folder: Path, start: Start) -> None:
    """Eight of 500 addresses at a time, others each time; an answer stays within 512 bytes, where clients stop."""
    many = [at(f"10.1.{n // 250}.{n % 250 + 1}") for n in range(500)]
    sidecar = start(Named(folder, catalog(orders=many)))
    seen: set[str] = set()
    for _ in range(100):
        answer = await ask(sidecar.dns, "orders.service.consul")
        assert 0 < len(values(answer)) <= 8
        assert len(answer.to_wire()) <= 512
        seen.update(values(answer))
    assert len(seen) > 100
    for _ in range(20):
        answer = await ask(sidecar.dns, "_orders._tcp.service.consul", "SRV")
        assert len(values(answer)) in (2, 3)
        assert len(answer.to_wire()) <= 512


async def test_what_others_register_captures_no_name(folder: Path, start: Start) -> None:
    """Names that are none are asked elsewhere, where they mean what they always did."""
    hostile = (
        "localhost",
        "s3.amazonaws.com",
        "127",
        "consul",
        "wpad",
        "*",
        "",
        "UP",
        "x\n",
        "é",
        "%",
        "com.",
    )
    known = catalog(**{name: Service(name, (at("10.6.6.6"),)) for name in (*hostile, "com", "xn--a")})
    table = {"s3.amazonaws.com": "192.0.2.1", "com": "192.0.2.2", "wpad.service.consul": "192.0.2.3"}
    async with elsewhere(table) as other:
        sidecar = start(Named(folder, known, other.address))
        for name, found in table.items():
            assert values(await ask(sidecar.dns, name)) == [found]
        assert "10.6.6.6" not in values(await ask(sidecar.dns, "localhost"))
        for name in ("s3.amazonaws.com.service.consul", "consul.service.consul", "up.pillion"):
            assert rcode(await ask(sidecar.dns, name)) == "NXDOMAIN"
        assert values(await ask(sidecar.dns, "com.service.consul")) == ["10.6.6.6"]


async def test_a_malformed_packet_stops_nothing(folder: Path, start: Start) -> None:
    """Anybody on the machine can send one."""
    sidecar = start(Named(folder, ORDERS))
    host, _, port = sidecar.dns.rpartition(":")
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(host, int(port))
    )
    query = dns.message.make_query("orders.service.consul", "A").to_wire()
    for packet in (
        b"",
        b"\0",
        query[:13],
        b"\xff" * 512,
        query[:12] + b"\xc0\x0c" * 100,
        os.urandom(9000),
        query * 20,
    ):
        transport.sendto(packet)
    transport.close()
    assert values(await ask(sidecar.dns, "orders.service.consul")) == ["10.0.0.1", "10.0.0.2"]


GETADDRINFO = """
import json, socket
def found(name):
    try:
        return sorted({one[4][0] for one in socket.getaddrinfo(name, 80, proto=socket.IPPROTO_TCP)})
    except socket.gaierror as error:
        return error.args[0] == socket.EAI_NONAME
print(json.dumps([found(name) for name in ("orders.service.consul", "four.service.consul", "orders.pillion",
    "example.org", "no.such.name")]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="the system's resolver asks port 53 only, which takes root")
async def test_the_systems_resolver_finds_the_names(folder: Path, start: Start) -> None:
    """What most clients ask: getaddrinfo, with resolv.conf naming the listener."""
    # Of this process alone: two Envoys of one user can have the same address and port.
    own = f"127.77.{os.getpid() // 256 % 256}.{os.getpid() % 256}"
    async with elsewhere({"example.org": "192.0.2.1"}) as other:
        over = {"outbound": {"dns": f"{own}:53", "dns_resolvers": [other.address]}}
        start(Sidecar(folder, ORDERS, over))
        (folder / "resolv.conf").write_text(f"nameserver {own}\n")
        mount = (
            f"mount --bind {folder}/resolv.conf /etc/resolv.conf && exec {sys.executable} -c '{GETADDRINFO}'"
        )
        client = await asyncio.create_subprocess_exec(
            "unshare", "--mount", "sh", "-c", mount, stdout=-1, stderr=-1
        )
        out, err = await asyncio.wait_for(client.communicate(), 120)
    assert client.returncode == 0, err
    assert out.decode().split("\n")[0] == (
        '[["10.0.0.1", "10.0.0.2", "2001:db8::7"], ["10.0.0.9"], ["127.0.0.1"], ["192.0.2.1"], true]'
    )


async def test_a_change_of_instances_is_answered_at_once_and_no_query_is_lost(folder: Path) -> None:
    """The listener is replaced each time, under queries."""
    given = settings(
        {"outbound": {"dns": f"127.0.0.1:{backing.free_port()}", "dns_resolvers": ["127.0.0.1:1"]}}
    )
    server = given.outbound.dns
    agent, envoy = xds.Agent(folder), xds.Envoy(folder)
    lost: list[str] = []
    queries: list[asyncio.Task[None]] = []
    answers = 0
    going = True

    async def query() -> None:
        nonlocal answers
        while going:
            try:
                code = rcode(await ask(server, "stock.service.consul", timeout=20))
            except Exception as error:
                code = repr(error)
            answers += 1
            if code != "NOERROR":
                lost.append(code)

    async with agent.running():
        envoy.start()
        try:
            known = catalog(stock=[at("10.0.0.1")], orders=[])
            await agent.in_force(plan(given, known, assets.load()))
            await ask(server, "stock.service.consul")
            queries += [asyncio.create_task(query()) for _ in range(4)]
            for turn in range(30):
                host = f"10.0.1.{turn + 1}"
                known = catalog(stock=[at("10.0.0.1")], orders=[at(host)])
                before = answers
                await agent.in_force(plan(given, known, assets.load()))
                # A worker that reads packets just then answers those by the former listener.
                await until(partial(_leads, server, host))
                await until(lambda before=before: answers > before + 7)
            await agent.in_force(plan(given, catalog(stock=[at("10.0.0.1")], orders=[]), assets.load()))
            await until(partial(_leads, server))
        finally:
            going = False
            await asyncio.gather(*queries)
            envoy.stop(5)
    assert lost == []
    assert agent.revision.value.refusals == ()


async def _leads(server: str, *hosts: str) -> bool:
    """Whether the name has these addresses; none: it is unknown."""
    answer = await ask(server, "orders.service.consul")
    return (rcode(answer), values(answer)) == ("NOERROR" if hosts else "NXDOMAIN", list(hosts))
