"""The documents of one examination: each asked for once, whoever wants it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

from agent.doctor.api import Api
from agent.runtime.errors import Transient

Object = dict[str, Any]
PAGE = 500
"""Objects of one answer."""
PAGES = 200
"""Answers of one list."""


class Documents:
    """Asks an ``Api`` and remembers. Use it within one loop; the tasks it starts end with the examination's."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._asked: dict[str, asyncio.Task[Any]] = {}

    async def one(self, path: str) -> Object | None:
        """One object, None where there is none. Raises Transient and Permanent."""
        found: Any = await self._once(path, lambda: self._api.get(path))
        if found is not None and not isinstance(found, dict):
            raise Transient(f"{path} is not an object: is this an API server of Kubernetes?")
        return found

    async def all(self, path: str, query: str = "") -> list[Object]:
        """All objects of a list, page by page; none where there is no such resource."""
        found: list[Object] = await self._once(f"{path}*{query}", lambda: self._pages(path, query))
        return found

    async def _once(self, key: str, ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(ask(), name=f"doctor:{key}")
        # One check that runs out of time must not take the answer from the others.
        return await asyncio.shield(self._asked[key])

    async def close(self) -> None:
        """End what is still being asked."""
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)

    async def _pages(self, path: str, query: str) -> list[Object]:
        found: list[Object] = []
        more = ""
        for _ in range(PAGES):
            parts = [query, f"limit={PAGE}", f"continue={quote(more)}" if more else ""]
            page = await self._api.get(f"{path}?{'&'.join(filter(None, parts))}")
            if page is None:
                return found
            items, metadata = _part(page, "items"), _part(page, "metadata")
            found += [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []
            token = metadata.get("continue") if isinstance(metadata, dict) else ""
            more = token if isinstance(token, str) else ""
            if not more:
                return found
        raise Transient(f"{path} has more than {PAGES * PAGE} objects")


def _part(page: Any, key: str) -> Any:
    return page.get(key) if isinstance(page, dict) else None
