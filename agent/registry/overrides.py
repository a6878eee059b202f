"""Live settings: what KV ``pillion/<service>``, a gateway's ``pillion/<its name>``, changes of the settings,
without a restart."""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from agent.config.settings import Settings
from agent.registry import blocking
from agent.registry.client import Client
from agent.registry.metrics import Reads
from agent.runtime.component import Ready
from agent.runtime.errors import Misconfigured, PillionError
from agent.runtime.files import write_atomically
from agent.runtime.health import Health
from agent.runtime.journal import Journal
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

SUBJECT = "live settings"
"""The journal's subject of what became of an override."""

Override = Callable[[Settings, bytes], Settings]
"""(settings, document) → the settings with the document's values;

raises Misconfigured. See ``config.live``.
"""


class Overrides:
    """Ready at once, with the last good override of an earlier run.

    A bad one is refused, the former stays.
    """

    name = "overrides"
    stop_budget = 1.0

    def __init__(
        self,
        client: Client,
        base: Settings,
        settings: Latest[Settings],
        override: Override,
        file: Path | None,
        *,
        health: Health,
        metrics: Reads,
        name: str = "",
        journal: Journal | None = None,
    ) -> None:
        """``base`` is what holds without an override;
        ``file`` is where the last good document outlives the agent;
        ``name`` is what the agent is called, if not as the service beside it;
        ``journal`` notes what became of each override.
        """
        self._key = f"pillion/{name or base.service.name}"
        self._client = client
        self._base = base
        self._settings = settings
        self._override = override
        self._file = file
        self._health = health
        self._metrics = metrics
        self._journal = journal
        self._last: bytes | None = b""
        """The document that was last judged; empty before the first."""
        self._refusal = ""
        self._breaks = -1

    async def run(self, ready: Ready) -> None:
        """Follow the key until cancelled."""
        self._restore()
        ready()
        ask = partial(self._client.value, self._key)
        try:
            await blocking.follow(self._client, ask, self.observe, self._failed)
        finally:
            self._health.stopped()

    async def observe(self, document: bytes | None) -> None:
        """Take in the key's value; None when there is no override (any more)."""
        if document is None and self._last and self._breaks != self._client.breaks:
            self._health.degraded("Consul lost the override; the former one stays until there is another")
            return
        self._breaks = self._client.breaks
        if document != self._last:
            self._last = document
            self._refusal = self._judge(document)
            if not self._refusal:
                await asyncio.to_thread(self._keep, document)
        if self._refusal:
            self._health.degraded(self._refusal)
        else:
            self._health.ok()

    def _judge(self, document: bytes | None) -> str:
        """Put the document in force; why not, if it is refused."""
        had = self._settings.value != self._base
        try:
            self._settings.set(self._base if document is None else self._override(self._base, document))
        except Misconfigured as error:
            self._metrics.overrides.labels("refused").inc()
            self._note("refused", str(error))
            log.warning("override.refused", error=str(error))
            return f"the override in {self._key} is refused, the former stays: {error}"
        outcome = "removed" if document is None else "accepted"
        self._metrics.overrides.labels(outcome).inc()
        if had or document is not None:
            self._note(outcome, f"{self._key} in Consul's KV")
        log.info(f"override.{outcome}")
        return ""

    def _note(self, outcome: str, detail: str) -> None:
        if self._journal is not None:
            self._journal.add(SUBJECT, outcome, detail)

    def _restore(self) -> None:
        if self._file is None:
            return
        with contextlib.suppress(OSError, Misconfigured):
            document = self._file.read_bytes()
            self._settings.set(self._override(self._base, document))
            self._last = document

    def _keep(self, document: bytes | None) -> None:
        if self._file is None:
            return
        try:
            if document is None:
                self._file.unlink(missing_ok=True)
            else:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(self._file, document, 0o600)
        except OSError as error:
            log.warning("override.not_kept", path=str(self._file), error=str(error))

    def _failed(self, error: PillionError) -> None:
        self._metrics.failures.labels("override").inc()
        self._health.degraded(f"the last known override is in use: {error}")
