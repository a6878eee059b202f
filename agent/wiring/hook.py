"""The copy of the carry hook for a service that another container runs."""

import asyncio
from collections.abc import Callable

import structlog

from agent.runtime.backoff import Backoff
from agent.runtime.component import Ready
from agent.runtime.health import Health

log = structlog.get_logger(__name__)


class Hook:
    """Copies at start, and until it succeeds.

    Its place is before the agent's own API: who waits for that finds the copy. Ready after the first try
    also when it failed: the service works without the hook, and to hold it back would turn a missing trace
    into an outage. The board says so.
    """

    name = "hook"
    stop_budget = 1.0

    def __init__(self, copy: Callable[[], None], folder: str, health: Health) -> None:
        """``copy`` raises OSError; ``folder`` is where to, for texts."""
        self._copy = copy
        self._folder = folder
        self._health = health

    async def run(self, ready: Ready) -> None:
        """Try, and again later."""
        backoff = Backoff(1.0, 30.0)
        while not await self.turn():
            ready()
            await asyncio.sleep(backoff.next())
        ready()
        await asyncio.Event().wait()

    async def turn(self) -> bool:
        """Try once; whether the copy is there."""
        try:
            await asyncio.to_thread(self._copy)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._health.degraded(
                f"the hook could not be copied to tracing.carry_dir {self._folder}: {reason}; the service carries "
                f"no trace context until it is started with the copy"
            )
            log.warning("hook.not_copied", folder=self._folder, reason=reason)
            return False
        self._health.ok()
        log.info("hook.copied", folder=self._folder)
        return True
