"""The status of a running agent, asked over its own address."""

from typing import Any

import aiohttp

from agent.runtime.errors import Transient
from agent.runtime.words import words

WITHIN = 3.0
"""Seconds."""


async def status(where: str) -> dict[str, Any]:
    """What ``/status`` at ``HOST:PORT`` says. Raises Transient where no agent answers; past any proxy."""
    timeout = aiohttp.ClientTimeout(total=WITHIN)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(f"http://{where}/status") as answer,
        ):
            found = await answer.json()
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise Transient(words(error)) from error
    if not isinstance(found, dict) or not isinstance(found.get("agent"), dict):
        raise Transient("what answers is no agent")
    return found
