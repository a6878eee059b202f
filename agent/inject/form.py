"""Whether a pod has the form that Kubernetes gives it, as far as injection looks at it.

What was checked here needs no checking later: the other modules take the types for granted.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent.config.problems import shown
from agent.inject.options import PREFIX
from agent.runtime.errors import Problem

MOST = 1000
"""Entries of a list beyond which a pod is refused: Kubernetes takes 1.5 MB for a whole object."""

ALL = 5000
"""Entries of all these lists of a pod together."""

ANNOTATIONS, OURS = 256 * 1024, 32 * 1024
"""Characters of all annotations together, which is what Kubernetes takes, and of one of Pillion's."""

_LISTS = {"env": "name", "ports": "", "volumeMounts": "mountPath", "envFrom": ""}
"""Lists of a container, each with the text that an entry must have."""


def problems(pod: object) -> list[Problem]:
    """What is wrong with a pod or pod template; empty when it can be injected."""
    if not isinstance(pod, Mapping):
        return [_wrong("pod", pod, "a mapping")]
    found = list(_metadata(pod.get("metadata")))
    spec = pod.get("spec")
    if not isinstance(spec, dict):
        return [*found, _wrong("spec", spec, "a mapping")]
    if (entries := _entries(spec)) > ALL:
        return [*found, Problem("spec", f"has {entries} entries in its lists", f"at most {ALL} in all")]
    return [*found, *_spec(spec)]


def _entries(spec: Mapping[str, Any]) -> int:
    """How much there is to look at, so that no pod takes long."""
    outer = [one for key in ("containers", "initContainers", "volumes") for one in _listed(spec.get(key))]
    inner = [
        key for one in outer if isinstance(one, Mapping) for key in _LISTS for _ in _listed(one.get(key))
    ]
    return len(outer) + len(inner)


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _metadata(metadata: object) -> Iterator[Problem]:
    if not isinstance(metadata, dict | None):
        yield _wrong("metadata", metadata, "a mapping")
        return
    if wrong := _size((metadata or {}).get("annotations")):
        yield wrong
        return
    for kind in ("labels", "annotations"):
        inner = (metadata or {}).get(kind)
        if not isinstance(inner, dict | None):
            yield _wrong(f"metadata.{kind}", inner, "a mapping")
            continue
        for key, value in (inner or {}).items():
            if not isinstance(key, str):
                yield _wrong(f"metadata.{kind}", key, "texts as keys")
            elif not isinstance(value, str) and (key.startswith(PREFIX) or kind == "labels"):
                yield _wrong(key[:300], value, "a text; write it in quotes")


def _size(annotations: object) -> Problem | None:
    texts = annotations if isinstance(annotations, dict) else {}
    sizes = {str(key): len(text) for key, text in texts.items() if isinstance(text, str)}
    if (all_ := sum(sizes.values()) + sum(map(len, sizes))) > ANNOTATIONS:
        return Problem("metadata.annotations", f"have {all_} characters", f"at most {ANNOTATIONS} in all")
    for key, size in sizes.items():
        if key.startswith(PREFIX) and size > OURS:
            allowed = f"at most {OURS}; {PREFIX}config names a ConfigMap that may hold more"
            return Problem(key[:300], f"has {size} characters", allowed)
    return None


def _spec(spec: Mapping[str, Any]) -> Iterator[Problem]:
    seconds = spec.get("terminationGracePeriodSeconds")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int)):
        yield _wrong("spec.terminationGracePeriodSeconds", seconds, "a whole number")
    if not spec.get("containers"):
        yield Problem("spec.containers", "is missing or empty", "a list of containers")
    names: set[str] = set()
    for kind in ("containers", "initContainers"):
        for place, container in _items(spec, kind, "spec.", "name"):
            if isinstance(container, Problem):
                yield container
                continue
            if container["name"] in names:
                yield Problem(
                    f"{place}.name", f"is {shown(container['name'])} again", "a name for each container"
                )
            names.add(container["name"])
            yield from _container(container, place)
    for _, volume in _items(spec, "volumes", "spec.", "name"):
        if isinstance(volume, Problem):
            yield volume


def _container(container: Mapping[str, Any], place: str) -> Iterator[Problem]:
    for kind, needed in _LISTS.items():
        for where, item in _items(container, kind, f"{place}.", needed):
            if isinstance(item, Problem):
                yield item
            elif kind == "env" and not isinstance(item.get("value"), str | None):
                yield _wrong(f"{where}.value", item["value"], "a text; write it in quotes")
    yield from _mappings(container, place, "lifecycle", "preStop")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        yield from _mappings(container, place, probe, "httpGet")


def _mappings(container: Mapping[str, Any], place: str, outer: str, inner: str) -> Iterator[Problem]:
    found = container.get(outer)
    if not isinstance(found, dict | None):
        yield _wrong(f"{place}.{outer}", found, "a mapping")
    elif found and not isinstance(found.get(inner), dict | None):
        yield _wrong(f"{place}.{outer}.{inner}", found.get(inner), "a mapping")


def _items(
    holder: Mapping[str, Any], kind: str, prefix: str, needed: str
) -> Iterator[tuple[str, dict[str, Any] | Problem]]:
    items = holder.get(kind)
    if items is None:
        return
    if not isinstance(items, list):
        yield f"{prefix}{kind}", _wrong(f"{prefix}{kind}", items, "a list")
        return
    if len(items) > MOST:
        yield (
            f"{prefix}{kind}",
            Problem(f"{prefix}{kind}", f"has {len(items)} entries", f"at most {MOST}"),
        )
        return
    for index, item in enumerate(items):
        place = f"{prefix}{kind}[{index}]"
        if not isinstance(item, dict):
            yield place, _wrong(place, item, "a mapping")
        elif needed and not (isinstance(item.get(needed), str) and item[needed]):
            yield place, _wrong(f"{place}.{needed}", item.get(needed), "a text that is not empty")
        else:
            yield place, item


def _wrong(place: str, value: object, allowed: str) -> Problem:
    return Problem(place, f"is {shown(value)}", allowed)
