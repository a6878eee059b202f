"""What comes from who means no good, or means too much, holds up nobody else."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.bench.footprint import cpu, memory
from tests.bench.injector import large, pod
from tests.integration.injector.cluster import ApiServer
from tests.integration.injector.process import Caller, Injector, review, trusting
from tests.integration.injector.test_process import CONFIGURATION, NAME, configuration

BURST = 24


@asynccontextmanager
async def injecting(folder: Path) -> AsyncIterator[tuple[ApiServer, Injector, Callable[[], Caller]]]:
    """A cluster, a ready injector, and callers of it."""
    async with ApiServer(folder / "cluster").running() as cluster:
        cluster.put(CONFIGURATION, configuration())
        cluster.namespace("shop", pillion_dev__inject="enabled")
        injector = Injector(folder / "one", cluster.environ, cluster.account)
        injector.start()
        try:
            await injector.ready()
            bundle = cluster.objects[CONFIGURATION]["webhooks"][0]["clientConfig"]["caBundle"]
            yield cluster, injector, lambda: Caller(injector, trusting(bundle), NAME)
        finally:
            await injector.stop()


async def test_a_burst_of_the_largest_bodies_delays_no_ordinary_review_and_is_not_kept_in_memory(
    tmp_path: Path,
) -> None:
    async with (
        injecting(tmp_path) as (_, injector, open_caller),
        open_caller() as ordinary,
        open_caller() as pressing,
    ):
        assert injector.process is not None
        await ordinary.ask()
        before = memory(injector.process.pid)
        bodies = large()
        burst = [asyncio.create_task(pressing.raw(bodies[n % 3])) for n in range(BURST)]
        longest, most = 0.0, before
        while not all(one.done() for one in burst):
            began = time.monotonic()
            assert (await ordinary.ask())["allowed"] is True
            longest = max(longest, time.monotonic() - began)
            most = max(most, memory(injector.process.pid))
        assert {one.result()[0] for one in burst} <= {200, 503}
        assert longest < 10  # what an API server waits; 45 s once, and here the callers use the same cores
        assert most - before < 90


@pytest.mark.parametrize(("containers", "allowed"), [(4, True), (20, False)])
async def test_a_small_pod_with_one_variable_many_times_is_answered_at_once(
    tmp_path: Path, containers: int, allowed: bool
) -> None:
    env = [{"name": "PYTHONPATH", "value": "/x"}, *[{"name": "A", "value": "x"}] * 999]
    one = pod()
    one["spec"]["containers"] = [{"name": f"c{n}", "image": "x", "env": env} for n in range(containers)]
    async with injecting(tmp_path) as (_, injector, open_caller), open_caller() as api:
        assert injector.process is not None
        before = cpu(injector.process.pid)
        response = await api.ask(review(object=one))
        assert cpu(injector.process.pid) - before < 2
        assert response["allowed"] is allowed
        assert allowed or "allowed: at most" in response["status"]["message"]
