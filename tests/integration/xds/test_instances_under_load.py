"""Instances that come and go in ordinary deployments, under load on the real Envoy."""

from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import cycle, islice

import pytest

from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.version import Offer, Version
from agent.proxy import assets
from agent.proxy.planner import Memo, plan
from agent.proxy.snapshot import Snapshot
from tests.integration.proxy_plan.rig import settings
from tests.integration.xds.rig import Agent, Envoy, Hammer, backend, cluster, endpoints

FRAGMENTS = assets.load()
OLD, NEW = Version(2, 1), Version(2, 2)
TURNS = 60


def one(port: int, version: Version) -> Instance:
    """The instance of one backend."""
    return Instance(f"i-{port}", Address("127.0.0.1", port), Offer((version,)))


async def test_no_request_fails_when_the_last_instance_of_a_version_leaves(
    agent: Agent, envoy: Envoy
) -> None:
    """A newer minor stands in for it, but Envoy hears of the instances before it hears of the routes."""
    async with AsyncExitStack() as stack:
        staying, leaving, own = [await stack.enter_async_context(backend("one")) for _ in range(3)]
        chosen, memo = settings({"service": {"name": "front", "port": own}}), Memo()

        def planned(*instances: Instance) -> Snapshot:
            catalog = Catalog({"steady": Service("steady", instances)})
            return plan(chosen, catalog, FRAGMENTS, memo=memo)

        both = planned(one(staying, NEW), one(leaving, OLD))
        await stack.enter_async_context(agent.running())
        envoy.start()
        await agent.in_force(both)
        load = Hammer(f"http://{chosen.proxy.outbound}", ["/api/v2.1/x"], {"host": "steady"})
        await stack.enter_async_context(load.going(4))
        for snapshot in islice(cycle([planned(one(staying, NEW)), both]), TURNS):
            await agent.in_force(snapshot)
            await load.more(2)
        assert load.failed == {}


async def test_no_request_fails_for_endpoints_of_others_that_envoy_refuses(
    agent: Agent, envoy: Envoy
) -> None:
    """A refusal ends the warming of all new clusters, also of one that has no instances yet."""
    async with AsyncExitStack() as stack:
        port, own = [await stack.enter_async_context(backend("one")) for _ in range(2)]
        catalog = Catalog({"steady": Service("steady", (one(port, NEW),))})

        def planned(seconds: int) -> Snapshot:
            over = {
                "service": {"name": "front", "port": own},
                "traffic": {"connect_timeout": seconds},
                "proxy": proxy,
            }
            found = plan(settings(over), catalog, FRAGMENTS)
            bad = endpoints("bad", 80, host="no.address")
            return replace(
                found,
                clusters={**found.clusters, "bad": cluster("bad", f"{seconds}s")},
                endpoints={**found.endpoints, "bad": bad},
            )

        chosen = settings().proxy
        proxy = {"inbound": chosen.inbound, "outbound": chosen.outbound}
        await stack.enter_async_context(agent.running())
        envoy.start()
        await agent.in_force(planned(1))
        load = Hammer(f"http://{chosen.outbound}", ["/x"], {"host": "steady"})
        await stack.enter_async_context(load.going(4))
        for snapshot in islice(cycle([planned(2), planned(1)]), TURNS):
            await agent.in_force(snapshot)
            await load.more(2)
        assert load.failed == {}


@pytest.mark.parametrize("restarted", [False, True], ids=["the same agent", "a new agent"])
async def test_no_request_fails_when_clusters_and_instances_change_beside_endpoints_that_envoy_never_saw_and_refuses(
    agent: Agent, envoy: Envoy, restarted: bool
) -> None:
    """All of it in one: a cluster that is made anew and has no instances yet ends its warming with the refusal."""
    async with AsyncExitStack() as stack:
        first, second, own = [await stack.enter_async_context(backend("one")) for _ in range(3)]
        chosen = settings({"service": {"name": "front", "port": own}})
        proxy = {"inbound": chosen.proxy.inbound, "outbound": chosen.proxy.outbound}

        def planned(turn: int) -> Snapshot:
            over = {
                "service": {"name": "front", "port": own},
                "traffic": {"connect_timeout": 1 + turn % 2},
                "proxy": proxy,
            }
            instances = (one(first, NEW), one(second, NEW))[: 1 + turn % 2]
            found = plan(settings(over), Catalog({"steady": Service("steady", instances)}), FRAGMENTS)
            name = f"bad{turn}"
            return replace(
                found,
                clusters={**found.clusters, name: cluster(name)},
                endpoints={**found.endpoints, name: endpoints(name, 80, host="no.address")},
            )

        envoy.start()
        async with agent.running():
            await agent.in_force(planned(0))
        load = Hammer(f"http://{chosen.proxy.outbound}", ["/x"], {"host": "steady"})
        await stack.enter_async_context(load.going(4))
        turns = range(1, TURNS // 4)
        for one_agents in [[turn] for turn in turns] if restarted else [turns]:
            async with Agent(agent.folder).running() as running:
                for turn in one_agents:
                    await running.in_force(planned(turn))
                    await load.more(2)
        assert load.failed == {}
