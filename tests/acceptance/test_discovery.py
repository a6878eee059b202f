"""A service is found in three ways: by HTTP through the sidecar, in Consul's DNS, in the sidecar's DNS."""

import asyncio
from functools import partial

import dns.asyncresolver
import dns.exception
import dns.resolver
import pytest

from tests.acceptance.conftest import Mesh
from tests.acceptance.instance import Instance
from tests.waiting import until


class Dns:
    """The resolver that programs use, asking one server only."""

    def __init__(self, port: int) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers, self._resolver.port = ["127.0.0.1"], port
        self._resolver.lifetime = 20.0

    async def addresses(self, name: str) -> set[str]:
        """The A records, none for an unknown name."""
        try:
            return {record.address for record in await self._resolver.resolve(name, "A")}
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return set()
        except (dns.exception.Timeout, dns.resolver.NoNameservers) as error:
            raise AssertionError(f"{name}: {error}") from error

    async def targets(self, name: str) -> set[tuple[str, int]]:
        """Address and port of each SRV record, its target looked up; none for an unknown name."""
        try:
            records = await self._resolver.resolve(name, "SRV")
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return set()
        except (dns.exception.Timeout, dns.resolver.NoNameservers) as error:
            raise AssertionError(f"{name}: {error}") from error
        found = [(await self.addresses(record.target.to_text()), record.port) for record in records]
        return {(address, port) for addresses, port in found for address in addresses}


def served(shop: Instance, host: str) -> set[str]:
    """Who answers ten calls of a name that the service makes through its sidecar; fails where the service does not."""
    answers = [shop.json(f"/call/{host}", shop.inbound) for _ in range(10)]
    return {answer["body"]["name"] for answer in answers if answer["status"] == 200}


def at(*instances: Instance) -> set[tuple[str, int]]:
    """Where instances are called."""
    return {("127.0.0.1", instance.inbound) for instance in instances}


@pytest.fixture
def shop(mesh: Mesh) -> Instance:
    outbound = {"dns": "127.0.0.1:0", "dns_resolvers": [f"127.0.0.1:{mesh.consul.dns}"]}
    return mesh.service("shop", label="shop", settings={"outbound": outbound})


async def test_http_and_both_dns_servers_tell_the_same_instances_as_they_come_and_go(
    mesh: Mesh, shop: Instance
) -> None:
    plain = mesh.service("orders", label="plain")
    canary = mesh.service("orders", label="canary", settings={"service": {"tags": ["canary"]}})
    for instance in (plain, canary, shop):
        await instance.ready()
    consul, sidecar = Dns(mesh.consul.dns), Dns(shop.status()["ports"]["dns"])
    name, rfc2782 = "orders.service.consul", "_orders._tcp.service.consul"

    async def known(*instances: Instance) -> bool:
        wanted = at(*instances)
        answers = [
            await consul.targets(name), await consul.targets(rfc2782), await sidecar.targets(rfc2782)
        ]  # fmt: skip
        addresses = {host for host, _ in wanted}
        return (
            all(answer == wanted for answer in answers)
            and await consul.addresses(name) == await sidecar.addresses(name) == addresses
            and await asyncio.to_thread(served, shop, "orders")
            == {instance.folder.name for instance in instances}
        )

    await until(partial(known, plain, canary), within=30, every=0.2)
    await asyncio.to_thread(plain.stop)
    await until(partial(known, canary), within=30, every=0.2)
    await asyncio.to_thread(canary.stop)
    await until(partial(known), within=30, every=0.2)


async def test_tags_choose_instances_in_consuls_dns(mesh: Mesh, shop: Instance) -> None:
    """By the sidecar's DNS too for addresses, because it asks Consul; it answers no SRV of others."""
    mesh.service("orders", label="plain")
    canary = mesh.service("orders", label="canary", settings={"service": {"tags": ["canary"]}})
    for instance in mesh.instances:
        await instance.ready()
    consul, sidecar = Dns(mesh.consul.dns), Dns(shop.status()["ports"]["dns"])
    await until(lambda: consul.targets("canary.orders.service.consul"))
    assert await consul.targets("canary.orders.service.consul") == at(canary)
    assert await consul.targets("_orders._canary.service.consul") == at(canary)
    assert await consul.addresses("canary.orders.service.consul") == {"127.0.0.1"}
    assert await sidecar.addresses("canary.orders.service.consul") == {"127.0.0.1"}
    assert await sidecar.targets("_orders._canary.service.consul") == set()
    for server in (consul, sidecar):
        assert await server.addresses("blue.orders.service.consul") == set()


async def test_the_sidecar_tells_instances_while_consul_is_away(mesh: Mesh, shop: Instance) -> None:
    orders = mesh.service("orders", label="plain")
    for instance in (orders, shop):
        await instance.ready()
    sidecar, name = Dns(shop.status()["ports"]["dns"]), "_orders._tcp.service.consul"
    await until(lambda: sidecar.targets(name))
    await until(lambda: served(shop, "orders") == {"plain"})
    await asyncio.to_thread(mesh.consul.kill)
    assert await sidecar.targets(name) == at(orders)
    assert await asyncio.to_thread(served, shop, "orders") == {"plain"}
