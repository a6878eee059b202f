"""The annotation that says what was added, and taking all of it out again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.inject.options import MARKER

FORM = 1
"""Of what the annotation holds; a later one may mean something else."""


@dataclass
class Container:
    """What one application's container got."""

    env: list[str] = field(default_factory=list)
    """Names of variables that were added."""
    pythonpath: str | None = None
    """Its own PYTHONPATH, where that was extended."""
    mount: str = ""
    """Where the hook is mounted; empty: not at all."""
    sleep: bool = False
    """Whether it got a preStop."""
    made: list[str] = field(default_factory=list)
    """Keys that were not there."""
    nulls: list[str] = field(default_factory=list)
    """Keys that were there, with null."""


@dataclass
class Added:
    """What a pod got."""

    sidecar: str = ""
    volumes: list[str] = field(default_factory=list)
    default_container: bool = False
    evictable: list[str] = field(default_factory=list)
    """Names of volumes that were added to the cluster autoscaler's annotation."""
    containers: dict[str, Container] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    """Keys of the pod that were not there: ``metadata``, ``annotations``, ``volumes``, ``initContainers``,
    and the annotation just named."""
    nulls: list[str] = field(default_factory=list)


def listed(holder: dict[str, Any], key: str, added: Added | Container) -> list[Any]:
    """A copy of the list ``holder[key]`` to add to, where it is missing a new one; put it back yourself."""
    note(holder, key, added)
    return list(holder.get(key) or ())


def mapped(holder: dict[str, Any], key: str, added: Added | Container) -> dict[str, Any]:
    """The same for a mapping."""
    note(holder, key, added)
    return dict(holder.get(key) or {})


def note(holder: dict[str, Any], key: str, added: Added | Container) -> None:
    """Note whether ``holder`` lacks ``key``, or has null there, before that is changed."""
    if key not in holder:
        added.made.append(key)
    elif holder[key] is None:
        added.nulls.append(key)


def emptied(holder: dict[str, Any], key: str, added: Added | Container) -> None:
    """Undo ``listed`` and ``mapped`` for what is empty again."""
    if holder.get(key):
        return
    if key in added.made:
        holder.pop(key, None)
    elif key in added.nulls:
        holder[key] = None


def written(added: Added) -> str:
    """The annotation's value."""
    containers = {name: _short(vars(one)) for name, one in added.containers.items()}
    return json.dumps({"form": FORM, **_short({**vars(added), "containers": containers})}, ensure_ascii=False)


def _short(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value or (value == "" and key == "pythonpath")}


def read(annotations: Mapping[str, Any]) -> Added | None:
    """What the annotation says was added; None where it says nothing that we wrote."""
    try:
        found = json.loads(annotations[MARKER])
        if found.pop("form") != FORM:
            return None
        containers = {name: Container(**one) for name, one in found.pop("containers", {}).items()}
        added = Added(containers=containers, **found)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return added if _is_sound(added) else None


def _is_sound(added: Added) -> bool:
    parts: list[Added | Container] = [added, *added.containers.values()]
    lists = [one for part in parts for one in (part.made, part.nulls)]
    lists += [added.volumes, added.evictable, *(one.env for one in added.containers.values())]
    texts = [added.sidecar, *(one.mount for one in added.containers.values())]
    paths = [one.pythonpath for one in added.containers.values()]
    return (
        all(isinstance(one, list) and all(isinstance(name, str) for name in one) for one in lists)
        and all(isinstance(one, str) for one in texts)
        and all(isinstance(one, str | None) for one in paths)
    )
