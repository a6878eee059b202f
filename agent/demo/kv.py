"""Changing Consul's KV, as an operator does."""

import aiohttp

from agent.demo import readings
from agent.demo.walk import Scene


async def put(scene: Scene, key: str, value: str) -> None:
    """Set a value. Raises aiohttp.ClientError."""
    await _ask(scene, "PUT", key, value)


async def delete(scene: Scene, key: str) -> None:
    """Take a value away. Raises aiohttp.ClientError."""
    await _ask(scene, "DELETE", key)


async def _ask(scene: Scene, method: str, key: str, value: str | None = None) -> None:
    url = f"{scene.system.consul}/v1/kv/{key}"
    headers = readings.asking(scene.system.token)
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, url, data=value) as answer,
    ):
        answer.raise_for_status()
