"""gunicorn closes idle connections; no request may meet one that is just being closed."""

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.proxy.snapshot import Snapshot
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.rig import Gunicorn, Sidecar, catalog

GTHREAD = ("--worker-class", "gthread", "--threads", "100")
SYNC = ("--workers", "4")
ROUNDS = 8
"""How often the race is waited for: it needs a request within the millisecond of a close."""
BRIEF = (*GTHREAD, "--keep-alive", "1")
"""A service that keeps connections no longer than its sidecar does."""


async def chat(
    http: aiohttp.ClientSession, url: str, number: int, end: float, keep: float, bad: list[object]
) -> list[str]:
    """Requests with pauses around the seconds after which the service closes a connection; the bodies posted."""
    spread = random.Random(number)
    posted = []
    turn = 0
    while time.monotonic() < end:
        turn += 1
        method = "POST" if (number + turn) % 2 else "GET"
        body = f"{number}-{turn}"
        try:
            async with http.request(method, url, data=body if method == "POST" else None) as answer:
                if answer.status != 200:
                    bad.append((method, answer.status, await answer.text()))
                await answer.read()
        except aiohttp.ClientError as error:
            bad.append((method, repr(error)))
        if method == "POST":
            posted.append(body)
        pause = spread.uniform(1, 4) if turn % 4 == 0 else spread.uniform(keep - 0.03, keep + 0.04)
        await asyncio.sleep(pause)
    return posted


async def chats(
    http: aiohttp.ClientSession, url: str, seconds: float, keep: float = 2.0
) -> tuple[list[object], list[str]]:
    """All that went wrong on 200 connections, and all bodies posted."""
    bad: list[object] = []
    end = time.monotonic() + seconds
    posted = await asyncio.gather(*(chat(http, url, number, end, keep, bad) for number in range(200)))
    return bad, [body for one in posted for body in one]


async def failures(http: aiohttp.ClientSession, url: str, keep: float) -> list[Any]:
    """What goes wrong, in as many rounds as it takes; empty if nothing ever does."""
    for _ in range(ROUNDS):
        bad, _ = await chats(http, url, 6, keep)
        if bad:
            return bad
    return []


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
    bad, posted = await chats(http, sidecar.inbound, 14, keep)
    assert bad == []
    assert sorted(service.posts) == sorted(posted)
    assert len(posted) > 400


async def test_the_race_is_there_without_the_precautions(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """One cluster that keeps connections, and no further try: the same traffic fails sooner or later, so the test
    above can fail."""
    service = start(Gunicorn(folder / "s", *GTHREAD))
    over = {"service": {"name": "orders", "port": service.port}}
    sidecar = start(Sidecar(folder / "e", catalog(), over, change=careless))
    assert await failures(http, sidecar.inbound, 2.0)


async def test_the_race_is_there_when_posts_share_the_kept_connections(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    """A request that may be repeated survives by its second try; a POST needs a connection of its own."""
    service = start(Gunicorn(folder / "s", *BRIEF))
    over = {"service": {"name": "orders", "port": service.port}}
    sidecar = start(Sidecar(folder / "e", catalog(), over, change=shared))
    assert {method for method, *_ in await failures(http, sidecar.inbound, 1.0)} == {"POST"}


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
