"""The status page's style, script and icon: three files beside it, read at each request."""

import asyncio
from pathlib import Path

from aiohttp import web

SITE = Path(__file__).parent / "site"
TYPES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
"""All there is; no other name reaches the disk."""


async def answer(request: web.Request) -> web.Response:
    """One of them."""
    name = request.path.removeprefix("/")
    body = await asyncio.to_thread((SITE / name).read_bytes)
    return web.Response(body=body, content_type=TYPES[name], charset="utf-8")
