"""All that is added, in one place."""

from collections.abc import Mapping
from typing import Any

from agent.inject import parts
from agent.inject.mutate import evict, hook, marker, proxying, shown, sidecar, sleep, volumes
from agent.inject.options import MARKER
from agent.inject.plan import Plan


def mutated(pod: Mapping[str, Any], plan: Plan, said: frozenset[str]) -> tuple[dict[str, Any], list[str]]:
    """``pod``, whose form was checked, with everything that the plan says, and what to warn of.

    ``said`` are the options that somebody gave."""
    added = marker.Added(sidecar=plan.names.sidecar)
    spec, warnings = dict(pod["spec"]), []
    length = sleep.seconds(spec, plan)
    changed = []
    for container in parts.containers(pod):
        one = added.containers.setdefault(container["name"], marker.Container())
        container, told = proxying.proxied(container, plan, one)  # noqa: PLW2901
        container, more = hook.hooked(container, plan, "pythonpath" in said, one)  # noqa: PLW2901
        changed.append(sleep.sleeping(container, length, one))
        warnings += [*told, *more]
    spec["containers"] = changed
    # First, so that it is there for the other init containers, and ends after the other sidecars.
    spec["initContainers"] = [sidecar.container(plan), *marker.listed(spec, "initContainers", added)]
    ours = volumes.volumes(plan)
    spec["volumes"] = [*marker.listed(spec, "volumes", added), *ours]
    added.volumes = [one["name"] for one in ours]
    return _marked({**pod, "spec": spec}, plan, ours, added), warnings


def _marked(
    pod: dict[str, Any], plan: Plan, ours: list[dict[str, Any]], added: marker.Added
) -> dict[str, Any]:
    metadata = marker.mapped(pod, "metadata", added)
    annotations = shown.shown(marker.mapped(metadata, "annotations", added), plan, added)
    annotations = evict.evictable(annotations, ours, added)
    annotations = {**annotations, MARKER: marker.written(added)}
    return {**pod, "metadata": {**metadata, "annotations": annotations}}
