"""How a service calls others: its environment, explicit ports, names over DNS."""

from pathlib import Path

import dns.exception

from agent.demo import backing
from tests.acceptance.conftest import Mesh
from tests.acceptance.instance import Instance
from tests.integration.proxy_plan.names import ask, rcode, values
from tests.waiting import until


async def found(server: str, name: str, kind: str = "A") -> list[str]:
    """The records of a name; none while nobody answers."""
    try:
        return values(await ask(server, name, kind, timeout=20))
    except (OSError, dns.exception.DNSException):
        return []


async def test_names_are_answered_while_consul_comes_and_goes_and_ports_stay_over_restarts(
    mesh: Mesh, own_consul: backing.Consul
) -> None:
    """A restarted agent listens where it did: DNS and the explicit port, both chosen freely."""
    inventory = await mesh.service("inventory").ready()
    outbound = {"dns": "127.0.0.1:0", "dns_resolvers": [f"127.0.0.1:{own_consul.dns}"]}
    settings = {"outbound": outbound, "upstreams": {"inventory": {"port": 0}}}
    shop = await mesh.service("shop", settings=settings).ready()
    ports = shop.status()["ports"]
    server = f"127.0.0.1:{ports['dns']}"
    await until(lambda: found(server, "inventory.service.consul"))
    (srv,) = await found(server, "_inventory._tcp.service.consul", "SRV")
    assert srv.split()[2] == str(inventory.inbound)
    assert await found(server, "inventory.pillion") == ["127.0.0.1"]
    assert await found(server, "consul.service.consul") == ["127.0.0.1"], "asked of Consul itself"
    assert (
        environment(shop)["PILLION_UPSTREAM_INVENTORY"] == f"http://127.0.0.1:{ports['upstream.inventory']}"
    )
    own_consul.kill()
    assert await found(server, "inventory.service.consul") == ["127.0.0.1"]
    assert rcode(await ask(server, "consul.service.consul", timeout=30)) == "NXDOMAIN"
    own_consul.start()
    await until(lambda: found(server, "consul.service.consul"))
    shop.stop()
    await shop.start().ready()
    assert shop.status()["ports"] == ports
    await until(lambda: found(server, "inventory.service.consul"))
    await until(lambda: shop.get("/", ports["upstream.inventory"])[0] == 200)


async def test_https_proxy_is_set_only_where_asked_for(mesh: Mesh) -> None:
    plain = await mesh.service("plain").ready()
    asked = await mesh.service("asked", settings={"outbound": {"https": True}}).ready()
    for name in ("HTTPS_PROXY", "https_proxy"):
        assert name not in environment(plain)
        assert environment(asked)[name] == f"http://127.0.0.1:{asked.outbound}"


def environment(instance: Instance) -> dict[str, str]:
    """What the service was started with."""
    content = Path(f"/proc/{instance.children()['service']}/environ").read_bytes().decode()
    return dict(line.split("=", 1) for line in content.split("\0") if "=" in line)


async def test_an_instance_at_a_loopback_address_is_left_out_where_that_is_said(mesh: Mesh) -> None:
    """Here all of them are: the caller knows the service and nobody to ask."""
    await mesh.service("inventory").ready()
    shop = await mesh.service("shop").ready()
    wary = await mesh.service("wary", settings={"registry": {"loopback": "refuse"}}).ready()
    await until(lambda: shop.call("inventory") == 200)
    await until(lambda: wary.call("inventory") == 503)
    await until(lambda: wary.status()["review"]["problems"])
    said = wary.status()["review"]["problems"]
    assert any("of inventory is left out" in one and "registry.loopback" in one for one in said), said
    assert shop.status()["review"]["problems"] == []
