"""The namespace of a pod, with the labels and annotations that are its pods' defaults."""

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


class Namespaces:
    """Looks into the mirror's cell, and asks for what is not there."""

    def __init__(self, client: Client, seen: Latest[Mapping[str, Namespace] | None]) -> None:
        self._client = client
        self._seen = seen

    async def of(self, name: str, *, fresh: bool = False) -> Namespace:
        """The namespace called ``name``; with ``fresh`` as the API server has it now.

        A pod can be created so soon after its namespace that the watch has not told of it yet. Raises Transient when it
        can't be asked for now, Permanent when we may not; one that does not exist is empty, since the API server
        refuses its pods by itself.
        """
        known = (self._seen.value or {}).get(name)
        if known is not None and not fresh:
            return known
        try:
            return namespace(await self._client.get(NAMESPACES, name))
        except errors.Absent:
            return Namespace(name, {}, {})
        except ValueError as error:
            raise Transient(f"the namespace {name} {error}") from error


def _texts(metadata: Mapping[str, Any], key: str) -> Mapping[str, str]:
    found = metadata.get(key)
    if not isinstance(found, dict):
        return {}
    return {name: text for name, text in found.items() if isinstance(name, str) and isinstance(text, str)}
