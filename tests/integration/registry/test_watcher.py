"""The catalogue of real Consul as the watcher keeps it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from prometheus_client import CollectorRegistry

from agent.config.sections.registry import Registry
from agent.demo import backing
from agent.model.address import Address
from agent.model.catalog import Catalog, Service
from agent.model.version import Version
from agent.registry import blocking, client
from agent.registry.metrics import Metrics
from agent.registry.watcher import Watcher
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.integration.registry.side import Relay, call, ended, relayed, running
from tests.waiting import until

SOON = blocking.WAIT / 2
"""Seconds in which a change is seen on which a question waits: sooner than the question would end by itself."""


class Reachable(Protocol):
    """A Consul with this HTTP address."""

    url: str


class Seen:
    """A running watcher's cell and word."""

    def __init__(self) -> None:
        self.catalog = Latest(Catalog())
        self.board = Board(lambda: 0.0)
        self.metrics = Metrics(CollectorRegistry())
        self.tasks: set[str] = set()

    def service(self, name: str) -> Service | None:
        return self.catalog.value.services.get(name)

    def ids(self, name: str) -> list[str]:
        service = self.service(name)
        return [] if service is None else [instance.id for instance in service.instances]

    @property
    def word(self) -> str:
        report = self.board.reports["watcher"]
        return f"{report.state}: {report.detail}"


@asynccontextmanager
async def watching(
    consul: Reachable,
    *wanted: str,
    file: Path | None = None,
    keep_last: float = 600.0,
    address: str = "",
) -> AsyncIterator[Seen]:
    """A watcher of the named services, or of all when none is named."""
    seen = Seen()
    async with client.connect(Registry(address=address or consul.url)) as reading:
        watcher = Watcher(
            reading, frozenset(wanted) or None, seen.catalog, file, keep_last=keep_last,
            health=seen.board.of("watcher"), metrics=seen.metrics,
        )  # fmt: skip
        task = await running(watcher)
        try:
            yield seen
        finally:
            await ended(task)


def unique() -> str:
    return f"s{uuid.uuid4().hex[:12]}"


def put(consul: Reachable, name: str, instance: str, **fields: Any) -> None:
    """Register an instance, passing unless told otherwise."""
    status = fields.pop("Status", "passing")
    check = {"CheckID": f"c:{instance}", "TTL": "10m", "Status": status}
    body = {"ID": instance, "Name": name, "Address": "10.0.0.1", "Port": 80, "Check": check, **fields}
    call(consul.url, "/v1/agent/service/register", body, "PUT")


def status(consul: Reachable, instance: str, verb: str) -> None:
    call(consul.url, f"/v1/agent/check/{verb}/c:{instance}", method="PUT")


def drop(consul: Reachable, instance: str) -> None:
    call(consul.url, f"/v1/agent/service/deregister/{instance}", method="PUT")


async def test_an_instance_appears_with_versions_and_routes_and_disappears(
    shared_consul: backing.Consul,
) -> None:
    name = unique()
    async with watching(shared_consul, name) as seen:
        await until(lambda: seen.word == "ok: ")
        assert seen.service(name) == Service(name, ())
        meta = {"pillion-versions": "v1,v2.1", "pillion-routes": "/orders", "pillion-zone": "b"}
        put(shared_consul, name, f"{name}-1", Meta=meta)
        await until(lambda: seen.ids(name) == [f"{name}-1"], within=SOON)
        service = seen.service(name)
        assert service is not None
        (instance,) = service.instances
        assert (instance.address, instance.zone) == (Address("10.0.0.1", 80), "b")
        assert instance.offer.serves == (Version(1), Version(2, 1))
        assert service.routes == ("/orders",)
        drop(shared_consul, f"{name}-1")
        await until(lambda: seen.ids(name) == [], within=SOON)
        assert seen.service(name) == Service(name, ())


@pytest.mark.parametrize("verb", ["fail", "warn"])
async def test_only_passing_instances_are_in_the_catalogue(shared_consul: backing.Consul, verb: str) -> None:
    name = unique()
    async with watching(shared_consul, name) as seen:
        put(shared_consul, name, f"{name}-1")
        put(shared_consul, name, f"{name}-2", Port=81)
        await until(lambda: seen.ids(name) == [f"{name}-1", f"{name}-2"])
        status(shared_consul, f"{name}-2", verb)
        await until(lambda: seen.ids(name) == [f"{name}-1"], within=SOON)
        status(shared_consul, f"{name}-2", "pass")
        await until(lambda: seen.ids(name) == [f"{name}-1", f"{name}-2"], within=SOON)


async def test_an_orderly_stop_of_the_last_instance_empties_the_service_at_once(
    own_consul: backing.Consul,
) -> None:
    async with watching(own_consul, "orders") as seen:
        put(own_consul, "orders", "orders-1")
        await until(lambda: seen.ids("orders") == ["orders-1"])
        drop(own_consul, "orders-1")
        await until(lambda: seen.service("orders") == Service("orders", ()), within=SOON)


async def test_a_consul_that_lost_its_data_leaves_the_last_known_instances_in_use_as_stale(
    own_consul: backing.Consul,
) -> None:
    async with watching(own_consul, "orders", keep_last=600) as seen:
        for number in (1, 2):
            put(own_consul, "orders", f"orders-{number}", Port=number, Meta={"pillion-routes": "/o"})
        await until(lambda: seen.ids("orders") == ["orders-1", "orders-2"])
        await asyncio.to_thread(own_consul.kill)
        await until(lambda: seen.word.startswith("degraded: the last known catalogue is in use"))
        assert seen.ids("orders") == ["orders-1", "orders-2"]
        await asyncio.to_thread(own_consul.start)
        await until(lambda: seen.word.startswith("degraded: Consul lost orders"))
        assert seen.service("orders").stale  # type: ignore[union-attr]
        assert seen.ids("orders") == ["orders-1", "orders-2"]
        assert seen.service("orders").routes == ("/o",)  # type: ignore[union-attr]
        # One comes back, still critical; the other has yet to be heard of.
        put(own_consul, "orders", "orders-1", Port=1, Status="critical")
        await until(lambda: seen.ids("orders") == ["orders-2"])
        status(own_consul, "orders-1", "pass")
        await until(lambda: seen.ids("orders") == ["orders-1", "orders-2"])
        put(own_consul, "orders", "orders-2", Port=2)
        await until(lambda: not seen.service("orders").stale)  # type: ignore[union-attr]
        assert seen.word == "ok: "


async def test_lost_instances_are_let_go_after_keep_last(own_consul: backing.Consul) -> None:
    async with watching(own_consul, "orders", keep_last=1.5) as seen:
        put(own_consul, "orders", "orders-1")
        await until(lambda: seen.ids("orders") == ["orders-1"])
        # Looked for from now on: it may be over when the start of Consul is found to be done.
        lost = asyncio.create_task(until(lambda: seen.word.startswith("degraded: Consul lost"), within=90))
        try:
            await asyncio.to_thread(own_consul.kill)
            await asyncio.to_thread(own_consul.start)
            await lost
        finally:
            lost.cancel()
        await until(lambda: seen.service("orders") == Service("orders", ()))


async def test_an_instance_that_left_while_a_connection_was_broken_is_gone(
    own_consul: backing.Consul,
) -> None:
    """Consul kept its data: its trust domain says so."""
    async with (
        relayed(Relay(own_consul.http)) as relay,
        watching(own_consul, "orders", address=relay.address) as seen,
    ):
        put(own_consul, "orders", "orders-1")
        await until(lambda: seen.ids("orders") == ["orders-1"])
        relay.close()
        await until(lambda: "the last known catalogue is in use" in seen.word)
        drop(own_consul, "orders-1")
        await relay.open()
        await until(lambda: seen.service("orders") == Service("orders", ()))
        assert seen.word == "ok: "


@pytest.mark.parametrize("names", [("orders",), ()])
async def test_an_old_index_never_blocks_after_consul_began_anew(
    own_consul: backing.Consul, names: tuple[str, ...]
) -> None:
    """An index that goes backwards is dropped: changes right after the restart are seen."""
    async with watching(own_consul, *names) as seen:
        for number in range(30):
            put(own_consul, "orders", "orders-1", Tags=[str(number)])
        await until(lambda: seen.ids("orders") == ["orders-1"])
        await asyncio.to_thread(own_consul.kill)
        await asyncio.to_thread(own_consul.start)
        put(own_consul, "orders", "orders-9", Address="10.0.0.9")
        await until(lambda: "orders-9" in seen.ids("orders"), within=SOON)
        drop(own_consul, "orders-9")
        await until(lambda: "orders-9" not in seen.ids("orders"), within=SOON)


async def test_a_catalogue_on_disk_serves_an_agent_that_starts_while_consul_is_away(
    own_consul: backing.Consul, tmp_path: Path
) -> None:
    file = tmp_path / "state" / "catalog.json"
    async with watching(own_consul, "orders", file=file) as seen:
        put(own_consul, "orders", "orders-1", Meta={"pillion-versions": "v2", "pillion-routes": "/o"})
        await until(lambda: seen.ids("orders") == ["orders-1"])
        before = seen.service("orders")
    await asyncio.to_thread(own_consul.kill)
    for wanted in (("orders",), ()):
        async with watching(own_consul, *wanted, file=file) as seen:
            assert seen.service("orders") == before
            await until(lambda: "the last known catalogue is in use" in seen.word)
            assert seen.service("orders") == before
    async with watching(own_consul, "orders", file=file) as seen:
        await asyncio.to_thread(own_consul.start)
        await until(lambda: seen.word.startswith("degraded: Consul lost orders"))
        assert seen.ids("orders") == ["orders-1"]


async def test_what_left_while_the_agent_was_down_is_gone_when_it_starts(
    own_consul: backing.Consul, tmp_path: Path
) -> None:
    file = tmp_path / "catalog.json"
    async with watching(own_consul, "orders", file=file) as seen:
        put(own_consul, "orders", "orders-1")
        await until(lambda: seen.ids("orders") == ["orders-1"])
    drop(own_consul, "orders-1")
    async with watching(own_consul, "orders", file=file) as seen:
        await until(lambda: seen.word == "ok: ")
        await until(lambda: seen.service("orders") == Service("orders", ()))


async def test_of_all_services_the_101st_is_left_out_named_and_those_known_stay(
    own_consul: backing.Consul,
) -> None:
    async with watching(own_consul) as seen:
        for number in range(100):
            put(own_consul, f"m{number:03}", f"m{number:03}-1")
        await until(lambda: len(seen.catalog.value.services) == 100)
        await until(lambda: all(service.instances for service in seen.catalog.value.services.values()))
        assert seen.word == "ok: "
        put(own_consul, "a-first", "a-first-1")
        await until(lambda: seen.catalog.value.left_out == ("a-first",))
        assert "a-first" not in seen.catalog.value.services
        assert "1 services beyond the limit of 100 are left out, such as a-first" in seen.word
        # Changes are still seen, though there are far more services than connections.
        status(own_consul, "m050-1", "fail")
        await until(lambda: seen.ids("m050") == [], within=SOON)
        put(own_consul, "m051", "m051-2", Address="10.0.0.2")
        await until(lambda: seen.ids("m051") == ["m051-1", "m051-2"], within=SOON)
        drop(own_consul, "m000-1")
        await until(lambda: "a-first" in seen.catalog.value.services, within=SOON)
        await until(lambda: seen.ids("a-first") == ["a-first-1"])
        assert "m000" not in seen.catalog.value.services


async def test_an_agent_takes_few_connections_however_many_services_there_are(
    own_consul: backing.Consul,
) -> None:
    async with watching(own_consul, *(f"m{number:03}" for number in range(60))) as seen:
        for number in range(60):
            put(own_consul, f"m{number:03}", f"m{number:03}-1")
        most = 0
        for _ in range(60):
            most = max(most, connections(own_consul.http))
            await asyncio.sleep(0.02)
        await until(lambda: all(service.instances for service in seen.catalog.value.services.values()))
        assert 2 <= most <= 5


def connections(port: int) -> int:
    """Established connections of this machine to the local port."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[2] == f"0100007F:{port:04X}" and line.split()[3] == "01" for line in lines)


async def test_consuls_own_service_and_unusable_names_are_never_upstreams(own_consul: backing.Consul) -> None:
    async with watching(own_consul) as seen:
        for name in ("s3.amazonaws.com", "localhost", "UPPER", "a_b", "fine"):
            put(own_consul, name, f"{name}-1")
        await until(lambda: seen.ids("fine") == ["fine-1"])
        assert set(seen.catalog.value.services) == {"fine"}


@pytest.mark.parametrize(
    "hostile",
    [
        {"Meta": {"pillion-versions": "v1,${jndi}"}},
        {"Meta": {"pillion-routes": "/ok /a\nb{x}"}},
        {
            "Meta": {
                "pillion-deprecated": '{"v1":[1,2,"javascript:%DYNAMIC_METADATA(x)%"]}',
                "pillion-versions": "v1",
            }
        },
        {"Address": "169.254.0.1/../"},
        {"Address": "224.0.0.1"},
        {"Address": "exa mple"},
        {"Port": 0},
        {"Kind": "mesh-gateway"},
    ],
)
async def test_a_malformed_instance_is_skipped_and_counted_and_the_others_stay(
    shared_consul: backing.Consul, hostile: dict[str, Any]
) -> None:
    name = unique()
    async with watching(shared_consul, name) as seen:
        put(shared_consul, name, f"{name}-bad", **hostile)
        put(shared_consul, name, f"{name}-good", Address="10.0.0.2")
        await until(lambda: seen.ids(name) == [f"{name}-good"])
        assert seen.metrics.skipped._value.get() == 1


def on_node(consul: backing.Consul, node: str, service: str = "orders") -> None:
    """Put an instance on a node of its own into the catalogue, passing, as a client agent's synchronisation does."""
    instance = {"ID": f"{service}-{node}", "Service": service, "Address": "10.0.0.1", "Port": 80}
    check = {"CheckID": f"c:{node}", "Name": "c", "Status": "passing", "ServiceID": instance["ID"]}
    body = {"Node": node, "Address": "10.0.0.9", "Service": instance, "Check": check}
    call(consul.url, "/v1/catalog/register", body, "PUT")


def off(consul: backing.Consul, node: str, **what: str) -> None:
    """Take a node, or with ``ServiceID`` a service on it, out of the catalogue."""
    call(consul.url, "/v1/catalog/deregister", {"Node": node, **what}, "PUT")


async def test_what_went_with_its_node_stays_in_use_until_it_registers_again(
    own_consul: backing.Consul,
) -> None:
    """A client agent that ends takes its node's instances along; they live, and register at the next one."""
    async with watching(own_consul, "orders") as seen:
        on_node(own_consul, "client")
        await until(lambda: seen.ids("orders") == ["orders-client"])
        off(own_consul, "client")
        await until(lambda: seen.word.startswith("degraded: Consul lost orders"))
        assert seen.ids("orders") == ["orders-client"]
        on_node(own_consul, "client")
        await until(lambda: seen.word == "ok: ")
        assert seen.ids("orders") == ["orders-client"]


async def test_a_node_that_was_made_anew_while_nobody_looked_took_its_instances_along(
    own_consul: backing.Consul,
) -> None:
    async with (
        relayed(Relay(own_consul.http)) as relay,
        watching(own_consul, "orders", address=relay.address) as seen,
    ):
        on_node(own_consul, "client")
        await until(lambda: seen.ids("orders") == ["orders-client"])
        relay.close()
        await until(lambda: "the last known catalogue is in use" in seen.word)
        off(own_consul, "client")
        on_node(own_consul, "client", "inventory")
        await relay.open()
        await until(lambda: seen.word.startswith("degraded: Consul lost orders"))
        assert seen.ids("orders") == ["orders-client"]


async def test_an_instance_that_leaves_a_node_which_stays_is_gone_at_once(own_consul: backing.Consul) -> None:
    async with watching(own_consul, "orders") as seen:
        on_node(own_consul, "client")
        await until(lambda: seen.ids("orders") == ["orders-client"])
        off(own_consul, "client", ServiceID="orders-client")
        await until(lambda: seen.service("orders") == Service("orders", ()), within=SOON)
