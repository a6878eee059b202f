"""Registration at Consul's own agent on this machine, which feeds the catalogue and watches the TTL."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from agent.config.sections.registry import Registry
from agent.model.registration import Verdict
from agent.registry.client import Client
from agent.registry.definition import Definition
from agent.registry.endpoint import LOOPBACK, is_loopback
from agent.registry.pin import Pin
from agent.runtime.errors import Permanent, PillionError

LOOKS = 8
"""Answers that must name the same agent before something is written: two agents behind one address are
overlooked once in 128 times."""

GLANCE = 1.0
"""Seconds that the servers may take to say whether they list the instance; the check must be fed meanwhile."""
RARELY = 64
"""Most looks without a glance at the servers, where what is written is never listed there."""


class AgentLedger:
    """The ledger of ``registry.mode: agent``."""

    def __init__(
        self,
        client: Client,
        settings: Registry,
        *,
        pinned: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``pinned``: make sure that one agent answers and that it is a client, as in a cluster of Kubernetes.

        Elsewhere a service may well stand beside a server.
        """
        self._client = client
        self._settings = settings
        self._pin = Pin() if pinned else None
        self._clock = clock
        self._written = False
        self._unlisted = False
        """The servers did not have what their agent has."""
        self._rest = 0
        """Looks without a glance at the servers; one after each costs little and is still soon."""
        self._vain = 0
        """Glances in a row that did not find it. Without the right to read nodes nobody sees an instance, and who has
        no token is not told that something was left out: it would be written at every glance for ever."""

    @property
    def feeding(self) -> float:
        """A third of the TTL."""
        return self._settings.ttl / 3

    async def credentials(self) -> int:
        """Consul's agent keeps the token of a registration."""
        await self._client.authenticate()
        return self._client.credentials

    async def address(self) -> str:
        """The local address of the way to Consul; where that is loopback, the address of Consul's agent."""
        local = await self._client.local_address()
        if not is_loopback(local):
            return local
        return await self._client.agent_address() or LOOPBACK

    async def look(self, desired: Definition) -> Mapping[str, Any] | None:
        """As the agent has it; None also where its servers do not list it.

        They lose it when their state is put back to an earlier one. The agent takes it for told then, and looks only
        every one to two minutes (its anti-entropy, ``agent/ae`` in Consul's source).
        """
        await self._verify(1)
        began = self._clock()
        found = await self._client.service(desired.instance)
        self._unlisted = False
        if self._rest:
            self._rest -= 1
        elif found is not None and self._clock() - began <= GLANCE:
            self._unlisted = not await self._listed(desired)
            self._vain = self._vain + 1 if self._unlisted else 0
            self._rest = min(2 ** max(self._vain - 1, 0), RARELY)
        return None if self._unlisted else found

    async def _listed(self, desired: Definition) -> bool:
        """Whether the servers list it; they count as doing so where they do not say."""
        with contextlib.suppress(PillionError, TimeoutError):
            async with asyncio.timeout(min(GLANCE, self._settings.ttl / 4)):
                return await self._client.listed(desired.body["Name"], desired.instance)
        return True

    async def write(self, desired: Definition, verdict: Verdict) -> None:
        """Consul keeps the status of a check that it still has. One that it lost comes back as the gate sees
        it, so that a Consul that lost its data brings no well instance to critical."""
        await self._verify(LOOKS)
        check = {**desired.body["Check"], "Status": "passing" if verdict.passing else "critical"}
        if self._client.credentials or self._unlisted:
            # Consul's agent tells its servers of a service with the token of its registration. What a token
            # that was deleted kept it from telling, it takes for told, until something differs; so does it with
            # what they lost.
            check["Notes"] = f"registered {datetime.now(UTC).isoformat()}"
        # Before: a request that fails here may have arrived there, unless it was refused.
        self._client.hold(True)
        try:
            await self._client.register({**desired.body, "Check": check})
        except Permanent:
            self._client.hold(self._written)
            raise
        self._written = True

    async def tell(self, desired: Definition, verdict: Verdict) -> bool:
        """Feed the TTL check."""
        return await self._client.tell(desired.check, verdict.passing, verdict.note)

    async def remove(self, instance: str) -> None:
        """At the agent, which tells the servers at once."""
        await self._client.deregister(instance)
        self._written = False
        self._client.hold(False)

    async def _verify(self, looks: int) -> None:
        """Each look takes a connection of its own, so that a balancer shows itself. Raises Permanent."""
        if self._pin is None:
            return
        for _ in range(looks):
            name, server = await self._client.agent_name()
            if other := self._pin.see(name, self._clock()):
                raise Permanent(_several(self._client.where, self._pin.name, other))
        if server and (servers := await self._client.servers()) > 1:
            raise Permanent(
                f"Consul at {self._client.where} is {name}, one of {servers} servers, where a registration would be "
                f"lost with it or come twice: {_REMEDY}"
            )


_REMEDY = (
    "give registry.address the Consul client agent of this node (http://$(HOST_IP):8500), or set "
    "registry.mode to catalog"
)


def _several(where: str, name: str, other: str) -> str:
    who = f"{name} and other agents" if other == "several" else f"{name} before and {other} now"
    return f"Consul at {where} is {who}, so that one instance would be registered at several: {_REMEDY}"
