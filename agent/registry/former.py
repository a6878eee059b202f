"""Whether an instance may be restarted behind the one that held the fleet's lock last."""

import time
from collections.abc import Callable

import structlog

from agent.registry.client import Client
from agent.registry.lock import Held
from agent.registry.rounds import passes

log = structlog.get_logger(__name__)


class Former:
    """Remembers of the one that held the lock last since when it is known, and with what it was met.

    One that never passed is followed by nobody who would be restarted with the same. What it had is named by its mark,
    which tells of what is written in KV and, so that nobody who may read the lock learns anything of a secret, not of
    the secrets to which that refers. Of those each instance knows its own: where they were others when it met that
    failure, it would be restarted with something else, and may try. One that lives keeps its lock; one that has lost it
    and does not pass is gone, and Consul or the sweep take it out of the catalogue, unless its machine or the sweep is
    gone as well: then it counts as gone after a while all the same.
    """

    def __init__(
        self,
        client: Client,
        service: str,
        key: str,
        gone_after: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``key`` is the lock's, for texts; ``gone_after`` in seconds."""
        self._client = client
        self._service = service
        self._key = key
        self._gone_after = gone_after
        self._clock = clock
        self._met: tuple[int, Held] | None = None
        self._wanted = ""
        """What this instance was to be restarted with when it met the former one."""
        self._since = 0.0
        self._gone = False
        """It was logged that it counts as gone."""

    async def against(self, index: int, held: Held, mark: str, wanted: str) -> str:
        """Why nobody may follow it, empty if one may. Raises as ``Client`` does.

        ``index`` is that of the answer in which ``held`` came, and rises with each write of the lock. ``mark`` names
        what is in KV now, ``wanted`` what this instance would be restarted with, secrets included.
        """
        if held.phase in {"done", "taken"}:
            return ""
        entries = await self._client.entries(self._service, held.owner)
        if passes(entries):
            return ""
        self._meet(index, held, wanted)
        if held.phase == "failed":
            return self._failed(held) if (held.mark, self._wanted) == (mark, wanted) else ""
        return self._lost(held) if entries else ""

    def _meet(self, index: int, held: Held, wanted: str) -> None:
        if self._met != (index, held):
            self._met, self._wanted, self._since, self._gone = (index, held), wanted, self._clock(), False

    def _failed(self, held: Held) -> str:
        wrong = f"{held.owner} was restarted with these values and never passed its check; change them"
        return f"{wrong} or the secrets to which they refer, or delete {self._key} in Consul's KV"

    def _lost(self, held: Held) -> str:
        after = f"{self._gone_after:g} s"
        if self._clock() - self._since < self._gone_after:
            soon = f"it counts as gone after {after}, or when you delete {self._key} in Consul's KV"
            return f"{held.owner} was restarted, has lost its lock and does not pass its check; {soon}"
        if not self._gone:
            self._gone = True
            log.warning("restart.former_gone", instance=held.owner, seconds=self._gone_after)
        return ""
