"""Where a manifest has its pod template."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.inject.manifests.load import InvalidError

TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "DeploymentConfig": ("spec", "template"),
}
"""The way to it, by kind."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Pod": ("",),
    "ReplicationController": ("",),
    "Job": ("batch",),
    "CronJob": ("batch",),
    "DeploymentConfig": ("apps.openshift.io", ""),
}
"""The API groups of those that are not of ``apps``; another group's kind of the same name is another kind."""

LIST = "List"
DEEPEST = 10
"""Levels of Lists in Lists."""


@dataclass(frozen=True)
class Resource:
    """One resource of a document."""

    value: dict[str, Any]
    place: tuple[str | int, ...]
    """The way to it in the document: empty, or through the items of Lists."""

    @property
    def kind(self) -> str:
        """Such as ``Deployment``; empty where it is no text."""
        return _text(self.value.get("kind"))

    @property
    def group(self) -> str:
        """Such as ``apps``; empty for the core's."""
        return _text(self.value.get("apiVersion")).rpartition("/")[0]

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Its own metadata, not the template's."""
        found = self.value.get("metadata")
        return found if isinstance(found, dict) else {}

    @property
    def title(self) -> str:
        """``deployment/orders``, as kubectl names it."""
        name = (
            _text(self.metadata.get("name")) or _text(self.metadata.get("generateName")) or "(without a name)"
        )
        return f"{self.kind.lower() or '(without a kind)'}/{name}"

    @property
    def namespace(self) -> str:
        """Where it goes; empty where it does not say so."""
        return _text(self.metadata.get("namespace"))

    @property
    def way(self) -> tuple[str, ...] | None:
        """The way to its pod template; None for a kind that has none, or is not supported."""
        if self.group not in GROUPS.get(self.kind, ("apps", "extensions")):
            return None
        return TEMPLATES.get(self.kind)


def has_templates(api_version: str, kind: str) -> bool:
    """Whether a document of that kind may hold something to inject into."""
    return kind == LIST or Resource({"apiVersion": api_version, "kind": kind}, ()).way is not None


def resources(document: dict[str, Any], place: tuple[str | int, ...] = ()) -> Iterator[Resource]:
    """The resource that a document is, or those in it when it is a ``List``, also one of Lists. Raises InvalidError."""
    items = document.get("items")
    if document.get("kind") != LIST or len(place) > 2 * DEEPEST:
        yield Resource(document, place)
        return
    if not isinstance(items, list | None):
        raise InvalidError("is a List whose items are no list")
    for index, item in enumerate(items or []):
        if not isinstance(item, dict):
            raise InvalidError(f"is a List whose item {index} is no mapping")
        yield from resources(item, (*place, "items", index))


def template(value: object, way: tuple[str, ...]) -> dict[str, Any] | None:
    """What stands at the end of a way; None where it leads nowhere."""
    for key in way:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None


def replaced(document: Any, way: tuple[str | int, ...], new: Mapping[str, Any]) -> Any:
    """A copy of the document with ``new`` at the end of the way, which leads somewhere."""
    if not way:
        return dict(new)
    copy: Any = list(document) if isinstance(document, list) else dict(document)
    copy[way[0]] = replaced(document[way[0]], way[1:], new)
    return copy


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
