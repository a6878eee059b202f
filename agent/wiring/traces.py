"""The way to Jaeger for the commands that read traces."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from agent.config.settings import Settings
from agent.tracing import lookup
from agent.tracing.jaeger import Jaeger


@asynccontextmanager
async def jaeger(settings: Settings) -> AsyncIterator[Jaeger]:
    """A reader of the Jaeger that these settings name, past any proxy of the environment."""
    async with aiohttp.ClientSession() as session:
        yield Jaeger(session, lookup.query_url(settings))
