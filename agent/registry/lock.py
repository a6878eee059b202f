"""A lock of the fleet on one key of Consul's KV: whoever dies with it loses it."""

import contextlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from agent.registry.client import Client, Row
from agent.registry.transport import encode
from agent.runtime.errors import PillionError, Transient

TTL = 10.0
"""Seconds after which Consul may end a session that was not renewed, twice that after which it has; its least."""
DELAY = 1.0
"""Seconds for which Consul gives the lock of an ended session to nobody."""
LONGEST = 4096
"""Bytes of the key's value that are looked at."""
_INSTANCE = re.compile(r"[A-Za-z0-9._-]{1,200}")


Phase = Literal["taken", "restarted", "failed", "done"]
"""How far the holder is: nothing done yet; restarted and not passing again yet; restarted and never passed; through."""


@dataclass(frozen=True)
class Held:
    """What the key says; anybody with rights on KV may have written it."""

    session: str = ""
    """Of who holds it now; empty: nobody."""
    owner: str = ""
    """The instance that holds it or held it last; empty: not known."""
    phase: Phase = "done"
    mark: str = ""
    """Names the configuration for which it was restarted."""


class Lock:
    """The lock ``key`` for the instance ``owner``.

    Source: Consul's documentation of sessions. It is advisory: nothing but this class looks at it. All methods raise
    Transient or Permanent as ``Client`` does; to renew it in time is the caller's.
    """

    def __init__(
        self, client: Client, key: str, owner: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.key = key
        self._client = client
        self._owner = owner
        self._clock = clock
        self._session = ""
        self._held = False
        self._mark = ""
        self._until = 0.0
        """Until when Consul can't have ended the session, by the clock."""

    @property
    def held(self) -> bool:
        """Whether this instance holds it, as far as Consul has said."""
        return self._held

    @property
    def sure(self) -> bool:
        """Whether nobody else can hold it now."""
        return self._held and self._clock() < self._until

    async def look(self, index: int = 0, wait: float = 0) -> tuple[int, Held]:
        """Who has it, with the index for a blocking query."""
        new, row = await self._client.row(self.key, index, wait)
        return new, parse(row)

    async def take(self, mark: str, phase: Phase = "taken") -> bool:
        """Try to get it; False while another one has it, or just had it and died."""
        session = self._session if await self.renew() else await self._begin()
        self._mark = mark
        self._held = await self._write("acquire", session, phase)
        return self._held

    async def say(self, phase: Phase, mark: str) -> None:
        """Write how far this instance is; to be told while the lock is held. Raises Transient when it is lost."""
        self._mark = mark
        self._held = bool(self._session) and await self._write("acquire", self._session, phase)
        if not self._held:
            raise Transient(f"the lock {self.key} in Consul's KV was lost")

    async def renew(self) -> bool:
        """Keep the session; False when Consul ended it, and with it the lock."""
        session, began = self._session, self._clock()
        if not session:
            return False
        known = await self._client.put(f"/v1/session/renew/{session}") is not None
        if session != self._session:
            return False  # it was given up meanwhile
        if known:
            self._until = began + TTL
        else:
            self._session, self._held = "", False
        return known

    async def give(self, phase: Phase) -> None:
        """Give it up, if it is held, and end the session; the next one reads ``phase``."""
        session, held, self._session, self._held = self._session, self._held, "", False
        try:
            if held:
                await self._write("release", session, phase)
        finally:
            if session:
                with contextlib.suppress(PillionError):  # it ends by itself
                    await self._client.put(f"/v1/session/destroy/{session}")

    async def _begin(self) -> str:
        # Without Consul's check of the node: it may be another one's, and comes and goes without the instance.
        wanted = {
            "Name": f"pillion {self._owner}",
            "TTL": f"{TTL:g}s",
            "LockDelay": f"{DELAY:g}s",
            "Behavior": "release",
            "NodeChecks": [],
        }
        began = self._clock()
        made = await self._client.put("/v1/session/create", encode(wanted))
        session = made.get("ID") if isinstance(made, dict) else None
        if not isinstance(session, str) or not re.fullmatch(r"[A-Za-z0-9-]{1,64}", session):
            raise Transient("Consul made a session without telling its id: is this its HTTP port?")
        self._session, self._until = session, began + TTL
        return session

    async def _write(self, verb: str, session: str, phase: Phase) -> bool:
        body = encode({"instance": self._owner, "phase": phase, "of": self._mark})
        return await self._client.put(f"/v1/kv/{self.key}", body, [(verb, session)]) is True


def parse(row: Row | None) -> Held:
    """What a row of KV says of the lock, which nobody need have written rightly. Pure."""
    if row is None:
        return Held()
    session, value = row.get("Session"), row.get("Value")
    session = session if isinstance(session, str) else ""
    try:
        said = json.loads(value) if isinstance(value, bytes) and len(value) <= LONGEST else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return Held(session)
    owner, phase, mark = said.get("instance"), said.get("phase"), said.get("of")
    if not isinstance(owner, str) or not _INSTANCE.fullmatch(owner) or not isinstance(phase, str):
        return Held(session)
    phases: tuple[Phase, ...] = get_args(Phase)
    known = next((one for one in phases if one == phase), phases[-1])
    return Held(session, owner, known, mark if isinstance(mark, str) else "")
