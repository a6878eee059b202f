"""Registration straight in the catalogue, through any server, where no agent of Consul's own stands beside.

The instance lives on a virtual node that stands for the Kubernetes node. Nothing feeds its check and nobody
but Pillion removes it: the pod itself when it ends in order, else ``sweep``.
"""

import math
from collections.abc import Mapping
from typing import Any

from agent.config.sections.kubernetes import Kubernetes
from agent.model.registration import Verdict
from agent.registry import virtual
from agent.registry.client import Client, Row
from agent.registry.definition import Definition
from agent.registry.endpoint import LOOPBACK, is_loopback
from agent.runtime.errors import Permanent, Transient


class CatalogLedger:
    """The ledger of ``registry.mode: catalog``."""

    feeding = math.inf

    def __init__(self, client: Client, identity: Kubernetes) -> None:
        """``identity`` has a node; see ``definition.problems``."""
        self._client = client
        self._identity = identity
        self._node = virtual.node(identity)
        self._told: tuple[str, str] | None = None
        """The check's status and output as the catalogue has them; None: it has none."""

    async def credentials(self) -> int:
        """The catalogue keeps no token."""
        await self._client.authenticate()
        return 0

    async def address(self) -> str:
        """The local address of the way to Consul: the pod's."""
        local = await self._client.local_address()
        return LOOPBACK if is_loopback(local) else local

    async def look(self, desired: Definition) -> Mapping[str, Any] | None:
        """As the servers have it, its check included."""
        rows = await self._client.entries(desired.body["Name"], desired.instance)
        row = next((one for one in rows if _mapping(one.get("Node")).get("Node") == self._node), None)
        self._told = _status(row, desired.check) if row else None
        if row is None:
            return None
        self._ours(_mapping(row.get("Node")))
        return _mapping(row.get("Service"))

    async def write(self, desired: Definition, verdict: Verdict) -> None:
        """Service and check in one transaction; the node is made if need be."""
        node = await self._client.node(self._node)
        if node is not None:
            self._ours(node)
        service = {key: desired.body[key] for key in ("ID", "Address", "Port", "Tags", "Meta")}
        told = self._told or _words(verdict)
        await self._put(desired, told, {"Service": {**service, "Service": desired.body["Name"]}})

    async def tell(self, desired: Definition, verdict: Verdict) -> bool:
        """Written only when it differs from what the last look found: each write goes through Raft."""
        told = _words(verdict)
        if self._told is None:
            return False
        if self._told == told:
            return True
        try:
            await self._put(desired, told, {})
        except Transient as error:
            if "Unknown service" not in str(error):
                raise
            self._told = None
            return False
        return True

    async def remove(self, instance: str) -> None:
        """The service with its check; an empty node is the sweep's."""
        await self._client.strike(self._node, instance)

    async def _put(self, desired: Definition, told: tuple[str, str], more: Mapping[str, Any]) -> None:
        check = {
            "CheckID": desired.check,
            "Name": desired.body["Check"]["Name"],
            "ServiceID": desired.instance,
            "Status": told[0],
            "Output": told[1],
        }
        # Of several pods on the node the first makes it; with the address of each in turn it would change for ever.
        node = {"Node": self._node, "Address": desired.body["Address"], "SkipNodeUpdate": True}
        meta = {"NodeMeta": virtual.meta(self._identity)}
        await self._client.enter({**node, **meta, **more, "Check": check})
        self._told = told

    def _ours(self, node: Row) -> None:
        if not virtual.is_ours(node, self._identity.cluster):
            raise Permanent(
                f"Consul's node {self._node} is not one that Pillion made for the cluster {self._identity.cluster}: "
                "remove it, or give kubernetes.cluster another name"
            )


def _words(verdict: Verdict) -> tuple[str, str]:
    return ("passing" if verdict.passing else "critical"), verdict.note


def _status(row: Row, check: str) -> tuple[str, str] | None:
    checks = row.get("Checks")
    found = [_mapping(one) for one in checks] if isinstance(checks, list) else []
    own = next((one for one in found if one.get("CheckID") == check), None)
    return (str(own.get("Status")), str(own.get("Output"))) if own else None


def _mapping(value: object) -> Row:
    return value if isinstance(value, dict) else {}
