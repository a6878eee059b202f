"""Delivers configuration to the service: a file that is replaced atomically, then an action."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.config.sections.store import Store as Settings
from agent.model.store import Store
from agent.registry import environment, formats
from agent.registry.metrics import Metrics
from agent.runtime.backoff import Backoff
from agent.runtime.component import Ready
from agent.runtime.errors import PillionError
from agent.runtime.files import write_atomically
from agent.runtime.health import Health
from agent.runtime.journal import Journal
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

SUBJECT = "values for the service"
"""The journal's subject of what became of them."""


@dataclass(frozen=True)
class Good:
    """Values fit to be delivered, and what is wrong with the others."""

    values: Mapping[str, str]
    problems: tuple[str, ...] = ()


def renewed(before: Mapping[str, str], store: Store) -> Good:
    """The newest good value of each key:
    one that was deleted or became malformed keeps its last good one. Pure.
    """
    values, problems = {}, []
    for key, entry in sorted(store.entries.items()):
        try:
            values[key] = environment.text_of(entry.value)
        except ValueError as error:
            problems.append(f"{key} {error}")
            if key in before:
                values[key] = before[key]
    for key in sorted(before.keys() - store.entries.keys()):
        values[key] = before[key]
        problems.append(f"{key} was deleted and keeps its last value until the next start")
    return Good(values, tuple(problems))


def changed_keys(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """The keys whose values differ. Pure."""
    return tuple(key for key in sorted({*before, *after}) if before.get(key) != after.get(key))


class Delivery:
    """Ready when the file is as the store was at start;
    acts only when something changed for a running service.
    """

    name = "delivery"
    stop_budget = 1.0

    def __init__(
        self,
        store: Latest[Store],
        settings: Settings,
        act: Callable[[], Awaitable[None]],
        running: Callable[[], bool],
        kept: Path | None,
        *,
        health: Health,
        metrics: Metrics,
        journal: Journal | None = None,
    ) -> None:
        """``act`` does what ``settings.action`` names and raises PillionError when it could not.

        ``running`` says whether the service runs; only then is there anybody to act upon. ``kept`` is where
        what was delivered outlives the agent: one that restarts beside a running service must not act
        without a change. ``journal`` notes which keys were delivered or refused, never a value.
        """
        self._store = store
        self._settings = settings
        self._act = act
        self._running = running
        self._kept = kept
        self._health = health
        self._metrics = metrics
        self._journal = journal
        self._noted: tuple[str, ...] = ()
        """The problems that the journal has."""
        self._good: Mapping[str, str] = {}
        self._pending = False
        """Something was delivered upon which nobody acted yet."""

    async def run(self, ready: Ready) -> None:
        """Deliver each change until cancelled."""
        backoff = Backoff(0.2, 3.0)
        self._good = self._load() if self._running() else {}
        try:
            while True:
                version = self._store.version
                done = await self.turn()
                ready()
                if done:
                    backoff.reset()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if done else backoff.next()):
                        await self._store.changed(version)
        finally:
            self._health.stopped()

    async def turn(self) -> bool:
        """Bring file and service up to the store; False when something has to be tried again."""
        good = renewed(self._good, self._store.value)
        self._metrics.refused.set(len(good.problems))
        keys = changed_keys(self._good, good.values)
        changed, self._pending = good.values != self._good, self._pending or good.values != self._good
        try:
            await asyncio.to_thread(self._write, good.values)
            self._good = good.values
            if self._pending and self._running() and self._settings.action != "none":
                await self._act()
                log.info("configuration.delivered", keys=len(good.values), action=self._settings.action)
        except (OSError, PillionError) as error:
            self._metrics.deliveries.labels("failed").inc()
            log.warning("configuration.not_delivered", error=str(error))
            self._health.degraded(f"configuration was not delivered: {error}")
            self._note("refused", f"not delivered: {error}")
            return False
        self._pending = False
        if changed:
            self._metrics.deliveries.labels("delivered").inc()
            self._note("accepted", ", ".join(keys))
        if good.problems != self._noted:
            self._noted = good.problems
            for problem in good.problems[:5]:
                self._note("refused", problem)
        if good.problems:
            self._health.degraded(
                "configuration is delivered without some changes: " + "; ".join(good.problems[:5])
            )
        else:
            self._health.ok()
        return True

    def _note(self, outcome: str, detail: str) -> None:
        if self._journal is not None:
            self._journal.add(SUBJECT, outcome, detail)

    def _write(self, values: Mapping[str, str]) -> None:
        if self._settings.file:
            path = Path(self._settings.file)
            content = formats.render(self._settings.format, values)
            mode = path.stat().st_mode & 0o777 if path.exists() else 0o640
            if not path.exists() or path.read_bytes() != content:
                write_atomically(path, content, mode)
        if self._kept is not None:
            body = json.dumps(dict(values), sort_keys=True)
            outer = {"hash": hashlib.sha256(body.encode()).hexdigest(), "body": body}
            content = json.dumps(outer).encode()
            if not self._kept.exists() or self._kept.read_bytes() != content:
                write_atomically(self._kept, content, 0o600)

    def _load(self) -> Mapping[str, str]:
        """What was delivered before; nothing when that can't be read."""
        try:
            outer = json.loads(self._kept.read_bytes()) if self._kept is not None else {}
            body = outer.get("body", "{}")
            if hashlib.sha256(body.encode()).hexdigest() != outer.get("hash"):
                return {}
            return {str(key): str(value) for key, value in json.loads(body).items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
