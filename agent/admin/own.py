"""The metrics that the service itself shows."""

import aiohttp

from agent.runtime.errors import Transient

LONGEST = 4 * 1024 * 1024
"""Bytes that they may have."""
TIMEOUT = 1.0
"""Seconds that the service has: the scrape waits for it."""
ACCEPT = "text/plain;version=0.0.4"


async def metrics(url: str) -> str:
    """In Prometheus' text form, as the service says. Raises Transient when there is no usable answer in time."""
    doing = f"asking the service for its metrics at {url}"
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(url, headers={"Accept": ACCEPT}, allow_redirects=False) as response,
        ):
            body = bytearray()
            async for part in response.content.iter_chunked(64 * 1024):
                body += part
                if len(body) > LONGEST:
                    raise Transient(f"{doing} gave more than {LONGEST} bytes")
            status = response.status
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise Transient(f"{doing} failed: {error or 'no answer in time'}") from error
    if status != 200:
        raise Transient(f"{doing} was answered {status}")
    return body.decode(errors="replace")
