"""A gateway behind load balancers: who the client is."""

import struct
from pathlib import Path

import pytest

from agent.model.catalog import Service
from tests.integration.proxy_plan.conftest import Start
from tests.integration.proxy_plan.raw import Reply, request, send
from tests.integration.proxy_plan.rig import Door, catalog, echo, instance


async def asked(folder: Path, start: Start, over: dict[str, object], data: bytes) -> Reply:
    """What a gateway with these settings answers."""
    async with echo("site") as port:
        known = catalog(site=Service("site", (instance(port),), ("/",)))
        return await send(start(Door(folder, known, {"gateway": over})).address, data)


@pytest.mark.parametrize(
    ("hops", "said", "client"),
    [
        (0, "203.0.113.9", "127.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "10.9.9.9, 203.0.113.9", "203.0.113.9"),
        (2, "10.9.9.9, 203.0.113.9, 198.51.100.7", "203.0.113.9"),
        (2, "203.0.113.9", "127.0.0.1"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "nonsense", "127.0.0.1"),
        (1, "", "127.0.0.1"),
    ],
)
async def test_as_many_proxies_are_believed_as_there_are(
    folder: Path, start: Start, hops: int, said: str, client: str
) -> None:
    """What the client himself put in front of the list never counts."""
    lines = [f"X-Forwarded-For: {said}"] if said else []
    reply = await asked(folder, start, {"trusted_hops": hops}, request("/x", *lines))
    assert reply.json["headers"]["x-real-ip"] == client


async def test_a_trusted_proxy_says_that_it_was_https(folder: Path, start: Start) -> None:
    line = "X-Forwarded-Proto: https"
    trusted = await asked(
        folder / "a", start, {"trusted_hops": 1}, request("/x", line, "X-Forwarded-Host: evil")
    )
    assert trusted.json["headers"]["x-forwarded-proto"] == "https"
    assert trusted.json["headers"]["x-forwarded-host"] == "shop.example"
    plain = await asked(folder / "b", start, {}, request("/x", line))
    assert plain.json["headers"]["x-forwarded-proto"] == "http"


V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11" + struct.pack(
    "!H4s4sHH", 12, bytes([203, 0, 113, 9]), bytes([127, 0, 0, 1]), 1, 2
)


@pytest.mark.parametrize("head", [b"PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n", V2], ids=["v1", "v2"])
async def test_the_proxy_protocol_names_the_client(folder: Path, start: Start, head: bytes) -> None:
    reply = await asked(
        folder, start, {"proxy_protocol": True}, head + request("/x", "X-Forwarded-For: 192.0.2.1")
    )
    assert reply.json["headers"]["x-real-ip"] == "203.0.113.9"
    assert reply.json["headers"]["x-forwarded-for"] == "203.0.113.9"


@pytest.mark.parametrize("on", [True, False])
async def test_it_is_asked_for_or_refused(folder: Path, start: Start, on: bool) -> None:
    """Who comes without it is no load balancer; where it is off nobody names himself by it."""
    head = b"" if on else b"PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n"
    reply = await asked(folder, start, {"proxy_protocol": on}, head + request("/x"))
    assert reply.status in (0, 400)
