"""What an agent that has nothing to do asks of Consul."""

import asyncio
import time
from pathlib import Path

import pytest

from agent.demo import backing
from tests.bench.fleet import agents, consul
from tests.bench.fleet.relay import kinds

WINDOW = 35.0
"""Seconds: a question to Consul waits for 30, and at the most a sixteenth longer."""


@pytest.mark.parametrize("upstreams", [("*",), (consul.FLAPPING, "s-0", "s-1", "s-2", "s-3")])
async def test_an_idle_agent_asks_consul_at_most_once_a_second(
    upstreams: tuple[str, ...], short_folder: Path, own_consul: backing.Consul
) -> None:
    async with agents.running(short_folder, 2, own_consul.http, upstreams) as members:
        began, before = time.monotonic(), agents.asked(members)
        await asyncio.sleep(WINDOW)  # what is measured
        seconds = time.monotonic() - began
        found = [
            (after - earlier).total() for after, earlier in zip(agents.asked(members), before, strict=True)
        ]
    assert all(0 < one <= seconds for one in found), (found, [member.relay.asked for member in members])


def test_requests_are_told_apart_by_their_paths() -> None:
    sent = (
        b"GET /v1/kv/pillion/a?index=7 HTTP/1.1\r\nHost: x\r\n\r\nPUT /v1/agent/check/pass/b HTTP/1.1\r\n\r\n"
    )
    assert kinds(sent) == ["following KV", "feeding the check"]
    assert kinds(b"GET /v1/status/leader HTTP/1.1\r\n\r\n") == ["other"]
    assert kinds(b'{"Name": "GET / HTTP/1.1"}') == []
