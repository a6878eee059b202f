"""Taking out again what the marker says was added."""

from collections.abc import Mapping
from typing import Any

from agent.inject.mutate import evict
from agent.inject.mutate.hook import NAME
from agent.inject.mutate.marker import Added, Container, emptied
from agent.inject.mutate.shown import DEFAULT
from agent.inject.options import MARKER


def undone(pod: Mapping[str, Any], added: Added) -> dict[str, Any]:
    """``pod``, whose form was checked, as it was before; what was changed since then stays."""
    spec = dict(pod["spec"])
    spec["containers"] = [
        _container(one, added.containers[one["name"]]) if one["name"] in added.containers else one
        for one in spec["containers"]
    ]
    for key, names in (("initContainers", [added.sidecar]), ("volumes", added.volumes)):
        if spec.get(key) is not None:
            spec[key] = [one for one in spec[key] if one["name"] not in names]
        emptied(spec, key, added)
    return _metadata({**pod, "spec": spec}, added)


def _metadata(pod: dict[str, Any], added: Added) -> dict[str, Any]:
    ours = {MARKER, DEFAULT} if added.default_container else {MARKER}
    metadata = dict(pod["metadata"])
    annotations = {k: v for k, v in metadata["annotations"].items() if k not in ours}
    metadata["annotations"] = evict.kept(annotations, added)
    emptied(metadata, "annotations", added)
    changed = {**pod, "metadata": metadata}
    emptied(changed, "metadata", added)
    return changed


def _container(container: dict[str, Any], added: Container) -> dict[str, Any]:
    found = dict(container)
    if found.get("env") is not None:
        found["env"] = [_variable(one, added) for one in found["env"] if one["name"] not in added.env]
    emptied(found, "env", added)
    if found.get("volumeMounts") is not None:
        found["volumeMounts"] = [
            one for one in found["volumeMounts"] if not added.mount or one["mountPath"] != added.mount
        ]
    emptied(found, "volumeMounts", added)
    return _awake(found, added)


def _variable(one: dict[str, Any], added: Container) -> dict[str, Any]:
    if one["name"] != NAME or added.pythonpath is None:
        return one
    found = {**one, "value": added.pythonpath}
    emptied(found, "value", added)
    return found


def _awake(container: dict[str, Any], added: Container) -> dict[str, Any]:
    there = container.get("lifecycle")
    if added.sleep and there and "sleep" in (there.get("preStop") or {}):
        lifecycle = {key: value for key, value in there.items() if key != "preStop"}
        if "preStop" in added.nulls:
            lifecycle["preStop"] = None
        container = {**container, "lifecycle": lifecycle}
        emptied(container, "lifecycle", added)
    return container
