"""A copy of some objects of the cluster, kept by list and watch.

Source: Kubernetes API concepts, "Efficient detection of changes".
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from agent.inject.cluster import errors
from agent.inject.cluster.client import Client, Object
from agent.inject.cluster.kinds import Kind
from agent.runtime.backoff import Backoff
from agent.runtime.component import Ready
from agent.runtime.errors import PillionError, Transient
from agent.runtime.health import Health
from agent.runtime.latest import Latest

T = TypeVar("T")
log = structlog.get_logger(__name__)

RETRY = (0.2, 10.0)
"""Seconds of the first and the longest delay after a failure."""
SHORT = 1.0
"""Seconds that a watch lasts at least where all is well."""


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class Mirror(Generic[T]):
    """Keeps ``seen`` equal to what the cluster has of one kind, by name; None until it is known.

    ``item`` makes of an object what is kept; an object of which it can't be made (ValueError) is left out. ``one``
    limits it to the object of that name. ``lasts`` is how long a watch goes on before it is begun anew, in seconds: the
    longest time for which a connection that died unseen hides a change. While the server is away the last copy stays.
    """

    stop_budget = 1.0

    def __init__(
        self,
        name: str,
        client: Client,
        kind: Kind,
        item: Callable[[Object], T],
        seen: Latest[Mapping[str, T] | None],
        *,
        health: Health,
        failed: Callable[[], None] = lambda: None,
        namespace: str = "",
        one: str = "",
        lasts: float = 60.0,
    ) -> None:
        self.name = name
        self._client = client
        self._kind = kind
        self._item = item
        self._seen = seen
        self._health = health
        self._failed = failed
        self._namespace = namespace
        self._query = {"fieldSelector": f"metadata.name={one}"} if one else {}
        self._lasts = lasts
        self._version = ""
        self._backoff = Backoff(*RETRY)

    async def run(self, ready: Ready) -> None:
        """List, watch, and again; ready when it was listed for the first time."""
        while True:
            try:
                if not self._version:
                    await self._list()
                    ready()
                await self._watch()
            except errors.Gone:
                self._version = ""
                await asyncio.sleep(self._backoff.next())
            except PillionError as error:
                self._note(error)
                await asyncio.sleep(self._backoff.next(getattr(error, "delay", None)))

    def _note(self, error: PillionError) -> None:
        kept = "; what was known last stays in use" if self._seen.value is not None else ""
        self._health.degraded(f"{error}{kept}")
        self._failed()
        log.warning("mirror.failed", mirror=self.name, error=str(error))

    async def _list(self) -> None:
        objects, version = await self._client.list(self._kind, Object, self._query, namespace=self._namespace)
        found: dict[str, T] = {}
        for one in objects:
            self._keep(found, one)
        self._version = version
        self._well(found)

    async def _watch(self) -> None:
        """Follow the changes until the server ends the watch; one that ends it at once is not asked at once again."""
        query, began = {**self._query, "resourceVersion": self._version}, asyncio.get_running_loop().time()
        async with self._client.watch(self._kind, query, self._lasts, self._namespace) as lines:
            self._health.ok()
            async for line in lines:
                self._take(line)
                self._backoff.reset()
        if asyncio.get_running_loop().time() - began < SHORT:
            await asyncio.sleep(self._backoff.next())

    def _take(self, line: bytes) -> None:
        """One event of the watch; raises Gone where the server forgot what follows."""
        try:
            event = msgspec.json.decode(line, type=_Event)
            one: Any = msgspec.json.decode(event.object)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Transient(f"watching {self._kind.plural} brought what is no event") from error
        if event.type == "ERROR":
            said = errors.words(bytes(event.object))
            doing = f"watching {self._kind.plural}"
            raise errors.failure(said.code or 500, {}, bytes(event.object), doing, secret=True)
        self._version = _version(one) or self._version
        if event.type == "BOOKMARK":
            return
        found = dict(self._seen.value or {})
        if event.type == "DELETED":
            found.pop(_name(one), None)
        else:
            self._keep(found, one)
        self._well(found)

    def _keep(self, found: dict[str, T], one: Object) -> None:
        name = _name(one)
        try:
            found[name] = self._item(one)
        except ValueError as error:
            found.pop(name, None)
            log.warning("mirror.malformed", mirror=self.name, object=name, error=str(error))

    def _well(self, found: Mapping[str, T]) -> None:
        self._seen.set(found)
        self._health.ok()


def _metadata(one: object) -> Mapping[str, Any]:
    metadata = one.get("metadata") if isinstance(one, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _name(one: object) -> str:
    return str(_metadata(one).get("name", ""))


def _version(one: object) -> str:
    return str(_metadata(one).get("resourceVersion", ""))
