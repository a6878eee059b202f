"""An Envoy that someone else runs: it is told what to do over xDS, and neither started nor stopped."""

import asyncio
from pathlib import Path

import structlog

from agent.model.address import Address
from agent.model.revision import Revision
from agent.proxy.admin import EnvoyAdmin
from agent.runtime.component import Ready
from agent.runtime.errors import Transient
from agent.runtime.health import Health
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)


class ExternalAdmin(EnvoyAdmin):
    """The admin API of an Envoy that outlives the agent.

    What is done on leaving can be undone: a listener that was drained stays closed until Envoy ends, whatever
    configuration comes later (``ListenerManagerImpl::stopListeners``), so none is.
    """

    async def announce(self) -> None:
        """Tell callers to go, by a failed health check: every response says ``Connection: close``."""
        await self.health(False)

    async def drain(self, within: float) -> bool:
        """Wait until no request is in flight, at most ``within`` seconds; the listeners stay open."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.announce()
        await self.idle("cx", began + within / 2)
        return await self.idle("rq", began + within)


class External:
    """Stands where the agent's own Envoy would: says whether the foreign one is there.

    Ready at once, since nobody knows when that one is started. One that an agent before this told to send its
    callers away is told to take them again.
    """

    name = "envoy"
    stop_budget = 1.0

    def __init__(
        self,
        revision: Latest[Revision],
        draining: Latest[bool],
        admin: EnvoyAdmin,
        socket: Path,
        health: Health,
    ) -> None:
        self._revision = revision
        self._draining = draining
        self._admin = admin
        self._socket = socket
        self._health = health

    async def run(self, ready: Ready) -> None:
        """Watch until cancelled."""
        ready()
        while True:
            self._health.degraded(
                f"No Envoy is connected to {self._socket}; `pillion envoy bootstrap` prints what to start it with."
            )
            await self._revision.until(lambda revision: revision.connected)
            await self._welcome()
            await self._revision.until(lambda revision: not revision.connected)

    async def _welcome(self) -> None:
        log.info("envoy.external", socket=str(self._socket))
        try:
            await self._admin.health(not self._draining.value)
        except Transient as error:
            self._health.degraded(f"Without its admin API Envoy is neither drained nor measured: {error}")
        else:
            self._health.ok()


def admin_at(setting: str, beside: Path) -> Path | Address:
    """Where the admin API of an external Envoy is: as ``proxy.admin`` says, else the socket ``beside``."""
    if not setting:
        return beside
    return Path(setting) if setting.startswith("/") else Address.parse(setting)
