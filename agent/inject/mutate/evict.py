"""The annotation by which the cluster autoscaler moves a pod though it has volumes on its node's disk.

Without it two `emptyDir` of ours would keep every node with a pod of the mesh from being removed. Source: the cluster
autoscaler's FAQ, "What types of pods can prevent CA from removing a node?".
"""

from collections.abc import Iterable
from typing import Any

from agent.inject.mutate.marker import Added, emptied, note

KEY = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"


def evictable(annotations: dict[str, Any], volumes: Iterable[dict[str, Any]], added: Added) -> dict[str, Any]:
    """The annotations with the names of our ``volumes`` that are on the disk, behind those that somebody gave."""
    theirs = annotations.get(KEY, "")
    if not isinstance(theirs, str):
        return annotations
    there = theirs.split(",")
    names = [one["name"] for one in volumes if "emptyDir" in one and one["name"] not in there]
    if not names:
        return annotations
    note(annotations, KEY, added)
    added.evictable = names
    return {**annotations, KEY: ",".join([theirs, *names] if theirs else names)}


def kept(annotations: dict[str, Any], added: Added) -> dict[str, Any]:
    """The annotations without those names; what was changed since stays."""
    value, ours = annotations.get(KEY), ",".join(added.evictable)
    if not ours or not isinstance(value, str):
        return annotations
    if value == ours or value.endswith(f",{ours}"):
        # To the letter, whatever stands there.
        rest = value.removesuffix(ours).removesuffix(",")
    else:
        rest = ",".join(one for one in value.split(",") if one not in added.evictable)
    found = {**annotations, KEY: rest}
    emptied(found, KEY, added)
    return found
