"""What of the catalogue belongs to pods that live no more. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.registry import advertise


@dataclass(frozen=True, order=True)
class Place:
    """One instance on one virtual node."""

    node: str
    instance: str


@dataclass(frozen=True)
class Found:
    """What the catalogue has on the virtual nodes of one cluster."""

    pods: Mapping[Place, str] = field(default_factory=dict)
    """Instances, each with its pod's uid."""
    strangers: frozenset[Place] = frozenset()
    """Instances without a pod's uid: not Pillion's, left alone."""
    empty: frozenset[str] = frozenset()
    """Nodes with nothing on them."""


@dataclass(frozen=True)
class Remains:
    """What was found dead or empty in one look."""

    dead: frozenset[Place] = frozenset()
    empty: frozenset[str] = frozenset()

    def __and__(self, other: "Remains") -> "Remains":
        """What two looks agree upon."""
        return Remains(self.dead & other.dead, self.empty & other.empty)


def found(nodes: Mapping[str, Iterable[Mapping[str, Any]]]) -> Found:
    """Sort the services of each node; all of it may have been written by anybody."""
    pods: dict[Place, str] = {}
    strangers: set[Place] = set()
    empty: set[str] = set()
    for node, services in nodes.items():
        rows = list(services)
        if not rows:
            empty.add(node)
        for row in rows:
            instance, meta = row.get("ID"), row.get("Meta")
            if not isinstance(instance, str) or not instance:
                continue
            uid = meta.get(advertise.POD_UID) if isinstance(meta, dict) else None
            if isinstance(uid, str) and uid:
                pods[Place(node, instance)] = uid
            else:
                strangers.add(Place(node, instance))
    return Found(pods, frozenset(strangers), frozenset(empty))


def remains(seen: Found, living: Collection[str]) -> Remains:
    """What belongs to nobody; ``living`` are the uids of all pods that have not ended, asked for after ``seen`` was."""
    dead = frozenset(place for place, uid in seen.pods.items() if uid not in living)
    return Remains(dead, seen.empty)


def incredible(seen: Found, living: Collection[str], own: str) -> str:
    """Why a list of pods must not be acted upon; empty when it may. ``own`` is the uid of the pod that asks."""
    if own and own not in living:
        return "it lacks this very pod"
    if seen.pods and not living:
        return "it is empty"
    return ""
