"""The pods that live: what a sweep of the registry compares with."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from agent.inject.cluster.client import Client
from agent.inject.cluster.kinds import PODS

ENDED = frozenset({"Succeeded", "Failed"})
OVERDUE = timedelta(minutes=1)
"""After the end of its grace a pod that is deleted is gone, unless its node can't say so any more; a minute is for
clocks that differ and kubelets that are slow."""


@dataclass(frozen=True)
class Living:
    """One pod that has not ended and is not overdue."""

    uid: str
    name: str
    namespace: str
    node: str
    """Empty while it is not scheduled."""


class _Metadata(msgspec.Struct):
    uid: str
    name: str
    namespace: str
    over: datetime | None = msgspec.field(name="deletionTimestamp", default=None)
    """When the grace of one that is deleted ends. Source: Kubernetes API reference, ObjectMeta v1."""


class _Spec(msgspec.Struct, frozen=True):
    node: str = msgspec.field(name="nodeName", default="")


class _Status(msgspec.Struct, frozen=True):
    phase: str = ""


class _Pod(msgspec.Struct):
    """The fields that matter, so that a list of thousands of pods costs little memory."""

    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()


async def pods(
    client: Client, *, node: str = "", namespace: str = "", now: datetime | None = None
) -> list[Living]:
    """The living pods of the cluster, of a node or of a namespace, as the API server has them; ``now`` an aware time.

    A pod that should be gone for ``OVERDUE`` is dead: those of a lost node are kept until somebody removes the node.
    All of them or an error, never a part: who is not in the list is gone. Raises Transient and Permanent.
    """
    query = {"fieldSelector": f"spec.nodeName={node}"} if node else {}
    found, _ = await client.list(PODS, _Pod, query, namespace)
    gone = (now or datetime.now(UTC)) - OVERDUE
    return [
        Living(one.metadata.uid, one.metadata.name, one.metadata.namespace, one.spec.node)
        for one in found
        if one.status.phase not in ENDED and (one.metadata.over is None or one.metadata.over > gone)
    ]


class Pods:
    """What a sweep asks; all of the cluster's pods at each question."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def living(self) -> frozenset[str]:
        """The uids of all pods that live. Raises Transient and Permanent, never returns a part."""
        return frozenset(one.uid for one in await pods(self._client))
