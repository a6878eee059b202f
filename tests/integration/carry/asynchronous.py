"""The smallest ASGI application that calls another service."""

import json
from typing import Any
from urllib.parse import parse_qs

import aiohttp


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    url = parse_qs(scope["query_string"].decode())["url"][0]
    async with aiohttp.ClientSession(trust_env=True) as session, session.get(url) as response:
        body = json.dumps(await response.json()).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    )
    await send({"type": "http.response.body", "body": body})
