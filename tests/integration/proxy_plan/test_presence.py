"""What the real Envoy counts of the carry hook in the service."""

from pathlib import Path

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from agent.demo import backing
from agent.model.presence import Presence
from agent.proxy.admin import EnvoyAdmin
from agent.proxy.presence import presence
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.rig import Sidecar, catalog, echo
from tests.waiting import until

COUNTER = "envoy_http_filter_name_carry_response_metadata_added"


def hooked(request: web.Request) -> web.Response:
    """Some answers carry the hook's header, as with a service of which one worker has it; one twice."""
    count = int(request.query.get("hooked", "0"))
    return web.Response(headers=CIMultiDict([("x-pillion-carry", "1")] * count), text="ok")


async def test_answers_with_the_hook_are_counted_and_never_told(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    async with echo(answer=hooked) as port:
        sidecar = start(Sidecar(folder, catalog(), {"service": {"name": "orders", "port": port}}))
        admin = EnvoyAdmin(sidecar.admin)
        assert (await presence(admin)).active == "unknown"
        for number in range(3):
            async with http.get(sidecar.inbound) as got:
                assert "x-pillion-carry" not in got.headers, number
        await until(lambda: counted(admin, Presence(3, 0)))
        assert (await presence(admin)).active == "no"
        for method, path in (("GET", "/?hooked=1"), ("POST", "/?hooked=1"), ("GET", "/?hooked=2")):
            async with http.request(method, sidecar.inbound + path) as got:
                assert "x-pillion-carry" not in got.headers
        await until(lambda: counted(admin, Presence(6, 3)))
        assert (await presence(admin)).active == "yes"
        assert f"{COUNTER}{{}} 3" in await admin.metrics()


async def counted(admin: EnvoyAdmin, expected: Presence) -> bool:
    found = await presence(admin)
    assert found == expected
    return True


async def test_an_answer_of_envoy_s_own_is_none_of_the_service(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    over = {"service": {"name": "orders", "port": backing.free_port()}}
    sidecar = start(Sidecar(folder, catalog(), over))
    async with http.get(sidecar.inbound) as got:
        assert got.status == 503
    assert await presence(EnvoyAdmin(sidecar.admin)) == Presence(0, 0)


async def test_without_the_hook_in_the_settings_nothing_is_counted_and_a_mark_is_still_hidden(
    folder: Path, start: Start, http: aiohttp.ClientSession
) -> None:
    async with echo(answer=hooked) as port:
        over = {"service": {"name": "orders", "port": port}, "tracing": {"carry": False}}
        sidecar = start(Sidecar(folder, catalog(), over))
        async with http.get(sidecar.inbound + "/?hooked=1") as got:
            assert "x-pillion-carry" not in got.headers
        assert await sidecar.counters("http_filter_name") == {}
