"""Outlier detection: who is left out, when he is back, and what happens when nobody would be left."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
from aiohttp import web

from agent.metrics.families import envoy
from agent.model.version import Offer, Version
from tests.integration.proxy_plan import breaking
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.counted import counted
from tests.integration.proxy_plan.rig import Sidecar, catalog, echo, instance
from tests.waiting import until


class Instances:
    """Answers by instance, and how often each was asked."""

    def __init__(self, **statuses: int) -> None:
        self.statuses = statuses
        self.asked: Counter[str] = Counter()

    def __getitem__(self, name: str) -> Callable[[web.Request], int]:
        def answer(_: web.Request) -> int:
            self.asked[name] += 1
            return self.statuses[name]

        return answer


async def posts(http: aiohttp.ClientSession, sidecar: Sidecar, number: int, **headers: str) -> Counter[int]:
    """The statuses of so many requests that are never repeated."""
    found: Counter[int] = Counter()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    for _ in range(number):
        async with http.post("http://orders/", proxy=sidecar.outbound, headers=sent) as answer:
            found[answer.status] += 1
    return found


async def until_answered(http: aiohttp.ClientSession, sidecar: Sidecar, status: int, times: int) -> None:
    """Post until so many answers have this status.

    Who gets a request is a matter of chance, and Envoy's main thread, which ejects, may be behind its workers:
    only without further requests meanwhile it is sure how many an ejection took.
    """
    left = times
    while left:
        left -= (await posts(http, sidecar, 1))[status]


async def ejected(sidecar: Sidecar) -> bool:
    """Whether an instance rests; its workers know before they read what comes later."""
    return await counted(sidecar, envoy.EJECTED) == 1


async def test_an_instance_that_answers_5xx_rests_and_is_back_after_its_time(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Three in a row; while it rests nothing fails; well again, it gets its share."""
    each = Instances(bad=500, good=200)
    over = {"traffic": {"ejection_failures": 3, "ejection_time": 5}}
    async with echo(answer=each["bad"]) as bad, echo(answer=each["good"]) as good:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(bad), instance(good)]), over))
        await until_answered(http, sidecar, 500, 2)
        assert await counted(sidecar, envoy.EJECTIONS) == 0
        await until_answered(http, sidecar, 500, 1)
        await until(lambda: ejected(sidecar))
        assert await counted(sidecar, envoy.EJECTIONS) == 1
        assert await counted(sidecar, envoy.GATEWAY_EJECTIONS) == 0
        assert await counted(sidecar, envoy.HEALTHY) == 1
        assert await posts(http, sidecar, 20) == {200: 20}
        each.statuses["bad"] = 200
        await until(lambda: _none_ejected(sidecar), within=60)
        before = each.asked["bad"]
        assert await posts(http, sidecar, 30) == {200: 30}
        assert each.asked["bad"] > before


async def _none_ejected(sidecar: Sidecar) -> bool:
    return await counted(sidecar, envoy.EJECTED) == 0


async def test_gateway_failures_eject_and_a_services_own_errors_need_not(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """With `ejection_on: gateway` a bug that answers 500 leaves an instance in, an unreachable one is left out."""
    each = Instances(bad=500, good=200)
    over = {"traffic": {"ejection_failures": 3, "ejection_on": "gateway"}}
    async with echo(answer=each["bad"]) as bad, echo(answer=each["good"]) as good:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(bad), instance(good)]), over))
        await until_answered(http, sidecar, 500, 10)
        assert await counted(sidecar, envoy.EJECTED) == 0
        each.statuses["bad"] = 503
        await until_answered(http, sidecar, 503, 3)
        await until(lambda: ejected(sidecar))
        assert await counted(sidecar, envoy.GATEWAY_EJECTIONS) == 1
        assert await counted(sidecar, envoy.EJECTIONS) == 0
        assert await posts(http, sidecar, 20) == {200: 20}


async def test_an_instance_that_is_silent_is_ejected_by_timeouts(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """It takes connections and requests and answers none: each timeout is a gateway failure."""
    over = {"traffic": {"ejection_failures": 3, "ejection_on": "gateway", "timeout": 0.5}}
    async with breaking.service({"/": breaking.silent}) as silent, echo("good") as good:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(silent.port), instance(good)]), over))
        while silent.times("POST", "/") < 3:
            await posts(http, sidecar, 1)
        await until(lambda: ejected(sidecar))
        assert await counted(sidecar, envoy.GATEWAY_EJECTIONS) == 1
        await posts(http, sidecar, 20)
        assert silent.times("POST", "/") == 3


async def test_never_more_than_half_of_the_instances_rest(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """All three fail, which is the service's trouble and not an instance's: two go on being asked."""
    each = Instances(a=500, b=500, c=500)
    over = {"traffic": {"ejection_failures": 2}}
    async with echo(answer=each["a"]) as a, echo(answer=each["b"]) as b, echo(answer=each["c"]) as c:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(one) for one in (a, b, c)]), over))
        assert await posts(http, sidecar, 60) == {500: 60}
        await until(lambda: ejected(sidecar))
        before = each.asked.copy()
        assert await posts(http, sidecar, 60) == {500: 60}
        assert await counted(sidecar, envoy.EJECTED) == 1
        assert await counted(sidecar, envoy.HEALTHY) == 2
        assert len(each.asked - before) == 2


async def test_the_only_instance_is_never_left_out(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """Callers get its own answers, and not ours."""
    each = Instances(only=500)
    over = {"traffic": {"ejection_failures": 1}}
    async with echo(answer=each["only"]) as only:
        sidecar = start(Sidecar(folder, catalog(orders=[instance(only)]), over))
        assert await posts(http, sidecar, 20) == {500: 20}
        assert await counted(sidecar, envoy.HEALTHY) == 1


async def test_an_ejected_instance_that_alone_serves_a_version_still_gets_its_requests(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """An answer that may be an error is better than none; it is counted."""
    each = Instances(old=500, new=200)
    over = {"traffic": {"ejection_failures": 2}}
    async with echo(answer=each["old"]) as old, echo(answer=each["new"]) as new:
        known = catalog(orders=[instance(old, Offer((Version(1),))), instance(new, Offer((Version(2),)))])
        sidecar = start(Sidecar(folder, known, over))
        assert await posts(http, sidecar, 2, X_API_Version="1") == {500: 2}
        await until(lambda: ejected(sidecar))
        assert await counted(sidecar, envoy.ALL_UNWELL) == 0
        assert await posts(http, sidecar, 8, X_API_Version="1") == {500: 8}
        assert await posts(http, sidecar, 10, X_API_Version="2") == {200: 10}
        assert await counted(sidecar, envoy.EJECTED) == 1
        assert await counted(sidecar, envoy.ALL_UNWELL) == 8
        assert each.asked == {"old": 10, "new": 10}
