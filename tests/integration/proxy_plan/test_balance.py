"""Which instance gets a request: by a header's hash, and the own zone first."""

from pathlib import Path

import aiohttp

from agent.metrics.families import envoy
from tests.integration.proxy_plan.conftest import Begin, Start
from tests.integration.proxy_plan.counted import counted
from tests.integration.proxy_plan.rig import Sidecar, catalog, echo, instance
from tests.waiting import until


async def served(http: aiohttp.ClientSession, sidecar: Sidecar, user: str = "") -> str:
    """The name of the instance that answered."""
    headers = {"X-User": user} if user else {}
    async with http.get("http://orders/", proxy=sidecar.outbound, headers=headers) as answer:
        assert answer.status == 200
        return str((await answer.json())["name"])


async def test_a_user_stays_at_one_instance_and_most_stay_when_another_leaves(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """A ring of hashes of a header; another caller's sidecar decides alike. Fewer instances have more places on the
    ring each, so that about a sixth of the others' users move, too."""
    over = {"traffic": {"balance": "ring_hash", "hash_header": "x-user"}}
    users = [f"user-{number}" for number in range(300)]
    async with echo("a") as a, echo("b") as b, echo("c") as c:
        three = start(Sidecar(folder / "3", catalog(orders=[instance(one) for one in (a, b, c)]), over))
        first = {user: await served(http, three, user) for user in users}
        assert set(first.values()) == {"a", "b", "c"}
        other = start(Sidecar(folder / "o", catalog(orders=[instance(one) for one in (c, a, b)]), over))
        assert {user: await served(http, three, user) for user in users} == first
        assert {user: await served(http, other, user) for user in users} == first
        assert await counted(three, envoy.RING) >= 1024
        two = start(Sidecar(folder / "2", catalog(orders=[instance(a), instance(b)]), over))
        second = {user: await served(http, two, user) for user in users}
        others = [user for user in users if first[user] != "c"]
        stayed = sum(first[user] == second[user] for user in others)
        assert stayed > 0.65 * len(others), "by chance it would be half"


async def test_the_own_zone_gets_all_until_too_few_of_it_are_well(
    folder: Path, begin: Begin, http: aiohttp.ClientSession
) -> None:
    """With none left in it the other zone gets everything; what crosses zones is counted."""
    status = {"near": 200}
    over = {
        "service": {"name": "front", "port": 1, "zone": "a"},
        "traffic": {"ejection_failures": 0, "check_path": "/health", "check_interval": 0.1,
                    "check_timeout": 10, "check_failures": 1, "check_passes": 1},
    }  # fmt: skip
    async with echo("near", lambda _: status["near"]) as near, echo("far") as far:
        known = catalog(orders=[instance(near, zone="a"), instance(far, zone="b")])
        sidecar = await begin(Sidecar(folder, known, over))
        await until(lambda: _well(sidecar, 2))
        assert {await served(http, sidecar) for _ in range(20)} == {"near"}
        assert await counted(sidecar, envoy.ZONES, "b") == 0
        assert await counted(sidecar, envoy.ZONES, "a") == 20
        status["near"] = 503
        await until(lambda: _well(sidecar, 1))
        assert {await served(http, sidecar) for _ in range(20)} == {"far"}
        assert await counted(sidecar, envoy.RETRIES) == 0
        assert await counted(sidecar, envoy.ZONES, "b") == 20


async def _well(sidecar: Sidecar, number: int) -> bool:
    return await counted(sidecar, envoy.HEALTHY) == number
