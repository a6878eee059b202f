"""Whether a collector takes spans: it is sent an empty batch, as OTLP allows."""

import aiohttp

from agent.runtime.errors import Transient
from agent.runtime.words import words

WITHIN = 5.0
"""Seconds."""


async def offered(url: str) -> tuple[int, str]:
    """The status of the answer to spans posted there, and its type such as ``application/json``.

    Raises Transient when there is none. Past any proxy of the environment.
    """
    timeout = aiohttp.ClientTimeout(total=WITHIN)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.post(url, json={"resourceSpans": []}, allow_redirects=False) as answer,
        ):
            return answer.status, answer.content_type
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise Transient(words(error)) from error
