"""An API server's objects in memory: create-if-absent, compare-and-set, JSON patches."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from agent.inject.cluster import errors
from agent.inject.cluster.client import Object
from agent.inject.cluster.kinds import Kind
from agent.runtime.errors import PillionError
from agent.runtime.latest import Latest


class Objects:
    """Stands in for ``agent.inject.cluster.client.Client``; ``failing`` is raised by every call while it is set."""

    def __init__(self) -> None:
        self.store: dict[tuple[str, str, str], Object] = {}
        self.cells: dict[str, Latest[Mapping[str, Object] | None]] = {}
        self.writes: list[str] = []
        self.failing: PillionError | None = None
        self._version = 0

    def cell(self, kind: Kind) -> Latest[Mapping[str, Object] | None]:
        """What a mirror of the kind shows: always the newest."""
        cell = self.cells.setdefault(kind.plural, Latest[Mapping[str, Object] | None]({}))
        self._show(kind)
        return cell

    def put(self, kind: Kind, body: Object) -> Object:
        """Write without asking, as somebody else."""
        self._version += 1
        stored = copy.deepcopy(body)
        stored["metadata"]["resourceVersion"] = str(self._version)
        self.store[self._key(kind, body)] = stored
        self._show(kind)
        return copy.deepcopy(stored)

    def drop(self, kind: Kind, name: str, namespace: str = "") -> None:
        """Delete, as somebody else."""
        del self.store[kind.plural, namespace, name]
        self._show(kind)

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        self._may()
        try:
            return copy.deepcopy(self.store[kind.plural, namespace, name])
        except KeyError:
            raise errors.Absent(f"GET {kind.path(name, namespace)} found nothing") from None

    async def create(self, kind: Kind, body: Object, namespace: str = "") -> Object:
        self._may()
        if self._key(kind, body) in self.store:
            raise errors.Taken("it exists already")
        self.writes.append(f"create {kind.plural}")
        return self.put(kind, body)

    async def replace(self, kind: Kind, body: Object) -> Object:
        self._may()
        stored = self.store.get(self._key(kind, body))
        if stored is None:
            raise errors.Absent("it is gone")
        if stored["metadata"]["resourceVersion"] != body["metadata"].get("resourceVersion"):
            raise errors.Conflict("it is another one")
        self.writes.append(f"replace {kind.plural}")
        return self.put(kind, body)

    async def patch(self, kind: Kind, name: str, operations: Sequence[Object], namespace: str = "") -> Object:
        self._may()
        body = await self.get(kind, name, namespace)
        for one in operations:
            *parents, last = one["path"].strip("/").split("/")
            place: Any = body
            for part in parents:
                place = place[int(part)] if isinstance(place, list) else place[part]
            if one["op"] == "test" and place[last] != one["value"]:
                raise errors.Conflict("the test failed")
            place[last] = one["value"]
        self.writes.append(f"patch {kind.plural}")
        return self.put(kind, body)

    def _key(self, kind: Kind, body: Object) -> tuple[str, str, str]:
        return kind.plural, body["metadata"].get("namespace", ""), body["metadata"]["name"]

    def _may(self) -> None:
        if self.failing:
            raise self.failing

    def _show(self, kind: Kind) -> None:
        if kind.plural in self.cells:
            found = {key[2]: copy.deepcopy(one) for key, one in self.store.items() if key[0] == kind.plural}
            self.cells[kind.plural].set(found)
