"""A connection to the service's PostgreSQL that leads nowhere any more ends."""

import socket

from agent.outbox.database import SILENCE, Database
from tests.integration.outbox.bench import Bench


async def test_the_kernel_finds_out_that_a_connection_leads_nowhere(bench: Bench) -> None:
    async with Database(lambda: bench.url).connection() as connection:
        connected = connection._driver._transport.get_extra_info("socket")
        assert connected.family == socket.AF_INET, "the test is about TCP"
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert [connected.getsockopt(socket.IPPROTO_TCP, option) for option, _ in SILENCE] == [
            value for _, value in SILENCE
        ]
