"""gunicorn closes idle connections; no request may meet one that is just being closed."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from agent.proxy.snapshot import Snapshot
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.rig import Gunicorn, Sidecar, catalog

GTHREAD = ("--worker-class", "gthread", "--threads", "100")
SYNC = ("--workers", "4")
ROUNDS = 20
"""How often the race is waited for: it needs a request within the millisecond of a close."""
BRIEF = (*GTHREAD, "--keep-alive", "1")
"""A service that keeps connections no longer than its sidecar does."""


@dataclass
class Came:
    """What came of requests."""

    bad: list[tuple[object, ...]] = field(default_factory=list)
    """All that went wrong: the method first."""
    posted: list[str] = field(default_factory=list)
    """Bodies."""


async def chat(
    http: aiohttp.ClientSession, url: str, number: int, going: Callable[[], bool], keep: float, came: Came
) -> None:
    """Requests with pauses around the seconds after which the service closes a connection."""
    spread = random.Random(number)
    turn = 0
    while going():
        turn += 1
        method = "POST" if (number + turn) % 2 else "GET"
        body = f"{number}-{turn}"
        try:
            async with http.request(method, url, data=body if method == "POST" else None) as answer:
                if answer.status != 200:
                    came.bad.append((method, answer.status, await answer.text()))
                await answer.read()
        except aiohttp.ClientError as error:
            came.bad.append((method, repr(error)))
        if method == "POST":
            came.posted.append(body)
        pause = spread.uniform(1, 4) if turn % 4 == 0 else spread.uniform(keep - 0.03, keep + 0.04)
        await asyncio.sleep(pause)


async def chats(http: aiohttp.ClientSession, url: str, seconds: float, keep: float, least: int = 0) -> Came:
    """What came of so many seconds, and of so many posts at the least, on 200 connections."""
    came = Came()
    end = time.monotonic() + seconds

    def going() -> bool:
        return time.monotonic() < end or len(came.posted) < least

    await asyncio.gather(*(chat(http, url, number, going, keep, came) for number in range(200)))
    return came


async def fails(http: aiohttp.ClientSession, url: str, keep: float, *methods: str) -> bool:
    """Whether one of the methods ever fails, in as many rounds as it takes."""
    for _ in range(ROUNDS):
        came = await chats(http, url, 6, keep)
        if any(method in methods for method, *_ in came.bad):
            return True
    return False


@pytest.mark.parametrize(
    ("worker", "keep"),
    [
        pytest.param(GTHREAD, 2.0, id="gthread"),
        pytest.param(SYNC, 2.0, id="sync"),
        pytest.param(BRIEF, 1.0, id="brief"),
    ],
)
async def test_no_request_is_lost_to_a_connection_that_gunicorn_closes(
    folder: Path, start: Start, http: aiohttp.ClientSession, worker: tuple[str, ...], keep: float
) -> None:
    """Hundreds of reused connections, idle for 1 to 4 s: every answer is 200, every POST is seen exactly once."""
    service = start(Gunicorn(folder / "s", *worker))
    sidecar = start(Sidecar(folder / "e", catalog(), {"service": {"name": "orders", "port": service.port}}))
    came = await chats(http, sidecar.inbound, 14, keep, least=400)
    assert came.bad == []
    assert sorted(service.posts) == sorted(came.posted)


async def test_the_race_is_there_without_the_precautions(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """One cluster that keeps connections, and no further try: the same traffic fails sooner or later, so the test
    above can fail."""
    service = start(Gunicorn(folder / "s", *GTHREAD))
    over = {"service": {"name": "orders", "port": service.port}}
    sidecar = start(Sidecar(folder / "e", catalog(), over, change=careless))
    assert await fails(http, sidecar.inbound, 2.0, "GET", "POST")


async def test_the_race_is_there_when_posts_share_the_kept_connections(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """A request that may be repeated has a second try; a POST needs a connection of its own."""
    service = start(Gunicorn(folder / "s", *BRIEF))
    over = {"service": {"name": "orders", "port": service.port}}
    sidecar = start(Sidecar(folder / "e", catalog(), over, change=shared))
    assert await fails(http, sidecar.inbound, 1.0, "POST")


def careless(snapshot: Snapshot) -> Snapshot:
    """The snapshot with long-lived connections and without retries on the inbound."""
    for cluster in ("service_reuse", "service_once"):
        options = snapshot.clusters[cluster]["typed_extension_protocol_options"]
        for one in options.values():
            one["common_http_protocol_options"] = {"idle_timeout": "60s"}
    for host in snapshot.routes["inbound"]["virtual_hosts"]:
        for route in host["routes"]:
            route["route"].pop("retry_policy", None)
    return snapshot


def shared(snapshot: Snapshot) -> Snapshot:
    """The snapshot with one cluster for all methods, whose connections outlive the service's patience."""
    for one in snapshot.clusters["service_reuse"]["typed_extension_protocol_options"].values():
        one["common_http_protocol_options"] = {"idle_timeout": "60s"}
    for host in snapshot.routes["inbound"]["virtual_hosts"]:
        for route in host["routes"]:
            route["route"]["cluster"] = "service_reuse"
    return snapshot
