"""The stream that several feeds share."""

import asyncio

import nats
import pytest

from agent.outbox.brokers.nats import make
from tests.integration.outbox.bench import Bench


class Outcomes:
    """Hears nothing."""

    def lost(self, reason: str) -> None:
        pass

    def acknowledged(self, number: int) -> None:
        pass

    def refused(self, number: int, reason: str, *, own: bool = True) -> None:
        pass


@pytest.mark.parametrize("there", [True, False])
async def test_feeds_that_start_together_lose_no_subject(bench: Bench, there: bool) -> None:
    if there:
        await bench.make_stream()
        await bench.change_stream(subjects=[f"{bench.stream}.old"])
    broker = make(bench.settings().broker, "shop")

    async def open_once(topic: str) -> None:
        async with broker.link(Outcomes(), frozenset({topic})):
            pass

    topics = [f"{bench.stream}.t{number}" for number in range(8)]
    await asyncio.gather(*map(open_once, topics))
    client = await nats.connect(bench.nats_url)
    subjects = (await client.jetstream().stream_info(bench.stream)).config.subjects or []
    await client.close()
    assert set(topics) <= set(subjects)
