"""The own zone first, on a running Envoy whose catalogue changes."""

import asyncio
from pathlib import Path

import aiohttp

from agent.model.catalog import Catalog
from agent.proxy import assets
from agent.proxy.planner import plan
from tests.integration.proxy_plan.rig import catalog, echo, instance, settings
from tests.integration.xds import rig as xds
from tests.waiting import until


async def test_traffic_leaves_the_own_zone_and_comes_back_with_its_instances(
    folder: Path, http: aiohttp.ClientSession
) -> None:
    """No request fails on the way: not when the zone's last instance goes, nor when it is there again."""
    given = settings({"service": {"name": "front", "port": 1, "zone": "a"}})
    outbound = f"http://{given.proxy.outbound}"
    agent, envoy = xds.Agent(folder), xds.Envoy(folder)
    statuses: list[int] = []
    seen: list[str] = []
    loads: list[asyncio.Task[None]] = []
    going = True

    async def load() -> None:
        while going:
            async with http.get("http://orders/", proxy=outbound) as answer:
                statuses.append(answer.status)
                seen.append((await answer.json(content_type=None)).get("name", ""))

    async def settled(known: Catalog) -> set[str]:
        await agent.in_force(plan(given, known, assets.load()))
        seen.clear()
        await until(lambda: len(seen) >= 60, within=60)
        return set(seen[20:])

    async with agent.running(), echo("near") as near, echo("far") as far, echo("farther") as farther:
        envoy.start()
        try:
            there = [instance(far, zone="b"), instance(farther, zone="c")]
            whole = catalog(orders=[instance(near, zone="a"), *there])
            await agent.in_force(plan(given, whole, assets.load()))
            loads += [asyncio.create_task(load()) for _ in range(4)]
            for _ in range(3):
                assert await settled(whole) == {"near"}
                assert await settled(catalog(orders=there)) == {"far", "farther"}
            assert await settled(whole) == {"near"}
        finally:
            going = False
            await asyncio.gather(*loads)
            envoy.stop(5)
    assert set(statuses) == {200}
