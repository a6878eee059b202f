"""The namespace of a pod, with the labels and annotations that are its pods' defaults."""

import asyncio
from collections.abc import Mapping
from typing import Any

from agent.inject.cluster import errors
from agent.inject.cluster.client import Client, Object
from agent.inject.cluster.kinds import NAMESPACES
from agent.inject.injection import Namespace
from agent.runtime.errors import Transient
from agent.runtime.latest import Latest


def namespace(one: Object) -> Namespace:
    """A namespace of the API as it matters here; raises ValueError for what is none."""
    metadata = one.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise ValueError("has no name")  # noqa: TRY004 - what a server sent, not a caller's type
    return Namespace(metadata["name"], _texts(metadata, "labels"), _texts(metadata, "annotations"))


PATIENCE = 2.5
"""Seconds that the API server has to answer: it waits for our own answer meanwhile, by default for 10 s."""
EVERY = 1.0
"""Seconds between two questions about one namespace."""
AT_ONCE = 8
"""Questions under way: a name in a review need not be one of a namespace that there is."""


class Namespaces:
    """Looks into the mirror's cell, and asks for what is not there.

    Whoever asks about one namespace within a second of another is answered with him, by a question that begins after
    both: what somebody changed before is seen by each.
    """

    def __init__(
        self,
        client: Client,
        seen: Latest[Mapping[str, Namespace] | None],
        *,
        patience: float = PATIENCE,
        every: float = EVERY,
    ) -> None:
        """``patience`` and ``every`` as above, in seconds."""
        self._client = client
        self._seen = seen
        self._patience = patience
        self._every = every
        self._coming: dict[str, asyncio.Task[Namespace]] = {}
        self._last: dict[str, float] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    def known(self, name: str) -> Namespace | None:
        """The namespace as the mirror has it; None where it was not told of it yet."""
        return (self._seen.value or {}).get(name)

    async def now(self, name: str) -> Namespace:
        """The namespace as the API server has it.

        A pod can be created so soon after its namespace that the watch has not told of it yet. Raises Transient when it
        can't be asked for now, Permanent when we may not; one that does not exist is empty, since the API server
        refuses its pods by itself.
        """
        coming = self._coming.get(name)
        if coming is None:
            coming = asyncio.create_task(self._later(name), name=f"namespaces.{name[:63]}")
            coming.add_done_callback(_retrieved)
            self._coming[name] = coming
        return await asyncio.shield(coming)

    async def _later(self, name: str) -> Namespace:
        """One question, when the last one about this namespace is long enough ago."""
        clock = asyncio.get_running_loop().time
        try:
            await asyncio.sleep(max(0.0, self._last.get(name, -self._every) + self._every - clock()))
        finally:
            del self._coming[name]  # who comes from now on needs a later one
        self._last = {key: at for key, at in self._last.items() if clock() - at < self._every}
        self._last[name] = clock()
        try:
            async with asyncio.timeout(self._patience), self._turns:
                return namespace(await self._client.get(NAMESPACES, name))
        except errors.Absent:
            return Namespace(name, {}, {})
        except ValueError as error:
            raise Transient(f"the namespace {name} {error}") from error
        except TimeoutError as error:
            text = f"the API server did not tell of the namespace {name} within {self._patience:g} s"
            raise Transient(text) from error


def _retrieved(task: asyncio.Task[Namespace]) -> None:
    """Its failure was told to whoever waited; where nobody did any more it matters to nobody."""
    if not task.cancelled():
        task.exception()


def _texts(metadata: Mapping[str, Any], key: str) -> Mapping[str, str]:
    found = metadata.get(key)
    if not isinstance(found, dict):
        return {}
    return {name: text for name, text in found.items() if isinstance(name, str) and isinstance(text, str)}
