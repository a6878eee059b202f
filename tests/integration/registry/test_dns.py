"""A registered service is found by Consul's own DNS."""

import uuid

import dns.asyncresolver
import pytest

from agent.demo import backing
from agent.model.registration import ServiceHealth
from tests.integration.registry.side import Side, settings_of, sides
from tests.waiting import until


async def test_a_passing_instance_is_found_by_a_and_srv_and_a_critical_one_is_not(
    shared_consul: backing.Consul,
) -> None:
    name = f"s{uuid.uuid4().hex[:12]}"
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = shared_consul.dns
    resolver.lifetime = 30.0
    side = Side(settings_of(shared_consul.url, name, proxy={"inbound": "127.0.0.1:18099"}))
    async with sides(side):
        await side.start()
        query = f"{name}.service.consul"

        async def found() -> list[str]:
            try:
                return [record.address for record in await resolver.resolve(query, "A")]
            except dns.resolver.NXDOMAIN:
                return []

        await until(found)
        assert await found() == ["127.0.0.1"]
        (srv,) = await resolver.resolve(query, "SRV")
        assert srv.port == 18099
        (target,) = await resolver.resolve(srv.target, "A")
        assert target.address == "127.0.0.1"
        (rfc2782,) = await resolver.resolve(f"_{name}._tcp.service.consul", "SRV")
        assert rfc2782.port == 18099
        side.service.set(ServiceHealth(False, "unwell"))
        await until(lambda: side.verdicts.value.passing is False)

        async def gone() -> bool:
            return not await found()

        await until(gone)
        with pytest.raises(dns.resolver.NXDOMAIN):
            await resolver.resolve(query, "SRV")
