"""Delivers configuration to the service: a file that is replaced atomically, then an action."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.config.sections.store import Store as Settings
from agent.model.store import Entry, Store
from agent.registry import environment, formats
from agent.registry.delivered import Delivered
from agent.registry.metrics import Metrics
from agent.registry.references import References
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
EVERY = 1.0
"""Seconds between two looks at files that values refer to, and at an action that is not done yet."""

Act = Callable[[str, str], Awaitable[bool]]
"""(what the service had, what it is to have), both as stamps: does what follows a change, or sees to it; whether it is
done. Raises PillionError when it could not."""


@dataclass(frozen=True)
class Good:
    """Values fit to be delivered, as they are written in KV, and what is wrong with the others."""

    values: Mapping[str, str]
    problems: tuple[str, ...] = ()


def renewed(before: Mapping[str, str], store: Store, text: Callable[[str], str] = str) -> Good:
    """The newest good value of each key: one that was deleted or became malformed keeps its last good one.

    ``text`` is what a value stands for, see ``References``; it raises ValueError for one that is of no use.
    """
    values, problems = {}, []
    for key, entry in sorted(store.entries.items()):
        try:
            value = environment.text_of(entry.value)
            text(value)
            values[key] = value
        except ValueError as error:
            problems.append(f"{key} {error}")
            if key in before and useful(before[key], text):
                values[key] = before[key]
    for key in sorted(before.keys() - store.entries.keys()):
        if useful(before[key], text):
            values[key] = before[key]
            problems.append(f"{key} was deleted and keeps its last value until the next start")
    return Good(values, tuple(problems))


def useful(value: str, text: Callable[[str], str]) -> bool:
    """Whether the value stands for anything."""
    try:
        text(value)
    except ValueError:
        return False
    return True


def given(values: Mapping[str, str], store: Store) -> Store:
    """What is delivered, in the form of the store. Pure."""
    nothing = Entry(1, b"")
    entries = {
        key: Entry(
            store.entries.get(key, nothing).index, text.encode(), store.entries.get(key, nothing).shared
        )
        for key, text in values.items()
    }
    return Store(entries, store.index)


def changed_keys(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """The keys whose values differ. Pure."""
    return tuple(key for key in sorted({*before, *after}) if before.get(key) != after.get(key))


class Delivery:
    """Ready when the file is as the store was at start; acts only when something changed for a running service."""

    name = "delivery"
    stop_budget = 1.0

    def __init__(
        self,
        store: Latest[Store],
        settings: Settings,
        act: Act,
        running: Callable[[], bool],
        kept: Path | None,
        *,
        health: Health,
        metrics: Metrics,
        journal: Journal | None = None,
        references: References | None = None,
        delivered: Latest[Store] | None = None,
    ) -> None:
        """``act`` does what ``settings.action`` names.

        ``running`` says whether the service runs; only then is there anybody to act upon. ``kept`` is where
        what was delivered outlives the agent: one that restarts beside a running service must not act
        without a change. ``journal`` notes which keys were delivered or refused, never a value. ``delivered`` is
        written with what was delivered, all references replaced.
        """
        self._store = store
        self._settings = settings
        self._act = act
        self._running = running
        self._kept = Delivered(kept)
        self._health = health
        self._metrics = metrics
        self._journal = journal
        self._references = references or References()
        self._delivered = delivered or Latest(Store())
        self._noted: tuple[str, ...] = ()
        """The problems that the journal has."""
        self._values: Mapping[str, str] | None = {}
        """What was delivered last; None: by an earlier agent, which kept references in place of secrets."""
        self._changed: tuple[str, ...] = ()
        """The keys of changes that the journal has not."""
        self._asked = False
        """Something was asked of the action that it has not done yet."""

    async def run(self, ready: Ready) -> None:
        """Deliver each change until cancelled."""
        if self._running():
            self._kept.load()
            self._values = None if self._kept.values else {}
        backoff = Backoff(0.2, 3.0)
        try:
            while True:
                version = self._store.version
                done = await self.turn()
                ready()
                pause = EVERY if self._asked or self._references.follows else None
                if done:
                    backoff.reset()
                else:
                    pause = backoff.next()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._store.changed(version)
        finally:
            self._health.stopped()

    async def turn(self) -> bool:
        """Bring file and service up to the store; False when something has to be tried again."""
        written = self._kept.values
        good = renewed(written, self._store.value, self._references.text)
        values = {key: self._references.text(value) for key, value in good.values.items()}
        problems = (*good.problems, *self._references.keep(good.values.values()))
        self._metrics.refused.set(len(problems))
        keys = (
            changed_keys(written, good.values) if self._values is None else changed_keys(self._values, values)
        )
        self._changed = tuple(dict.fromkeys((*self._changed, *keys)))
        try:
            await asyncio.to_thread(self._write, values)
            self._values = values
            self._delivered.set(given(values, self._store.value))
            await self._tell(good.values, self._kept.stamp(values))
        except (OSError, PillionError) as error:
            self._failed(str(error))
            return False
        self._report(problems)
        return True

    async def _tell(self, written: Mapping[str, str], stamp: str) -> None:
        """See to it that the running service has what was delivered."""
        told = self._kept.told
        idle = self._settings.action == "none" or not (self._running() or self._asked)
        if (stamp == told and not self._asked) or idle:
            await asyncio.to_thread(self._kept.keep, written, stamp)
            return
        # Another agent has to do it over if this one ends meanwhile.
        await asyncio.to_thread(self._kept.unsettle, written)
        self._asked = True  # also when it fails: what was half done has to be done again
        self._asked = not await self._act(told, stamp)
        if not self._asked:
            await asyncio.to_thread(self._kept.keep, written, stamp)
            log.info("configuration.delivered", keys=len(written), action=self._settings.action)

    def _failed(self, error: str) -> None:
        self._metrics.deliveries.labels("failed").inc()
        log.warning("configuration.not_delivered", error=error)
        self._health.degraded(f"configuration was not delivered: {error}")
        said = f"not delivered: {error}"
        if self._noted != (said,):
            self._noted = (said,)
            self._note("refused", said)

    def _report(self, problems: tuple[str, ...]) -> None:
        if self._changed:
            self._metrics.deliveries.labels("delivered").inc()
            self._note("accepted", ", ".join(self._changed))
            self._changed = ()
        if problems != self._noted:
            self._noted = problems
            for problem in problems[:5]:
                self._note("refused", problem)
        if problems:
            self._health.degraded(
                "configuration is delivered without some changes: " + "; ".join(problems[:5])
            )
        else:
            self._health.ok()

    def _note(self, outcome: str, detail: str) -> None:
        if self._journal is not None:
            self._journal.add(SUBJECT, outcome, detail)

    def _write(self, values: Mapping[str, str]) -> None:
        if not self._settings.file:
            return
        path = Path(self._settings.file)
        content = formats.render(self._settings.format, values)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o640
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content, mode)
