"""Configuration values over HTTP, with a long poll like Consul's."""

import asyncio
import re

from aiohttp import web

from agent.model.store import Store
from agent.runtime.latest import Latest

INDEX = "X-Pillion-Index"
DEFAULT_WAIT = 300.0
LONGEST_WAIT = 600.0
"""Seconds, as in Consul."""
MOST = 256
"""Long polls at once; more are told to come back."""
_WAIT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Polls:
    """``GET /v1/config/KEY?index=&wait=``.

    The value of a key; with an index, once the key's index is another.

    A key that does not exist is a 404 with the index 0, and ``index=0`` waits for it to come.
    """

    def __init__(self, store: Latest[Store]) -> None:
        self._store = store
        self._waiting = 0

    async def answer(self, request: web.Request) -> web.Response:
        """The value now or after its next change; 400 for a malformed index or wait."""
        key = request.match_info["key"]
        try:
            index, wait = wanted(request.query.get("index"), request.query.get("wait"))
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        if index is not None and not await self._changed(key, index, wait):
            return web.Response(status=429, text="Too many long polls at once: come back later.\n")
        return self._value(key)

    async def _changed(self, key: str, index: int, wait: float) -> bool:
        if self._waiting >= MOST:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(wait):
                await self._store.until(lambda store: store.get(key)[0] != index)
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1
        return True

    def _value(self, key: str) -> web.Response:
        index, value = self._store.value.get(key)
        headers = {INDEX: str(index)}
        if value is None:
            return web.Response(status=404, headers=headers, text="There is no such key.\n")
        try:
            return web.Response(text=value.decode(), headers=headers)
        except UnicodeDecodeError:
            return web.Response(body=value, content_type="application/octet-stream", headers=headers)


def wanted(index: str | None, wait: str | None) -> tuple[int | None, float]:
    """The index waited on (None.

    No wait) and the seconds, at most ten minutes; raises ValueError with a sentence.
    """
    seconds = DEFAULT_WAIT
    if wait is not None:
        match = _WAIT.fullmatch(wait)
        if match is None:
            raise ValueError("wait is no duration such as 30s, 5m or 500ms.")
        seconds = float(match[1]) * _UNITS[match[2] or "s"]
    if index is None:
        return None, seconds
    if not (index.isascii() and index.isdigit() and len(index) <= 20):
        raise ValueError("index is not a number that X-Pillion-Index gave.")
    return int(index), min(seconds, LONGEST_WAIT)
