"""Follows the wanted services in Consul and keeps the catalogue of whom this agent may call."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from agent.model.catalog import Catalog, Service
from agent.registry import blocking, decode, fold, remembered, selection
from agent.registry.client import Client
from agent.registry.due import Due
from agent.registry.metrics import Reads
from agent.registry.seen import Stamp, State, Whole
from agent.runtime.component import Ready
from agent.runtime.errors import Permanent, PillionError
from agent.runtime.files import write_atomically
from agent.runtime.health import Health
from agent.runtime.latest import Latest
from agent.runtime.threads import to_its_end

log = structlog.get_logger(__name__)

QUERIES = 5
"""Connections to Consul at a time; with the configuration store's three an agent takes eight."""
READS = QUERIES - 2
"""Short reads at a time beside the two queries that wake them."""
REREAD = 600.0
"""Seconds after which everything is read again, whatever woke or did not: a token may see more by now. Reading 1,000
services takes one or two seconds of CPU."""


class Watcher:
    """Ready at once, with the catalogue that an earlier run left on disk or an empty one.

    Few services are followed by a blocking query each. Beyond ``QUERIES`` two queries over everything wake
    short reads of what changed, because a Consul agent takes 200 connections from one address.
    """

    name = "watcher"
    stop_budget = 2.0

    def __init__(
        self,
        client: Client,
        wanted: frozenset[str] | None,
        catalog: Latest[Catalog],
        file: Path | None,
        *,
        keep_last: float,
        health: Health,
        metrics: Reads,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``wanted`` None: every registered service, at most 100.

        ``file``: where the catalogue outlives the agent.
        """
        self._client = client
        self._wanted = wanted
        self._catalog = catalog
        self._file = file
        self._keep_last = keep_last
        self._health = health
        self._metrics = metrics
        self._clock = clock
        self._selection = Latest(selection.Selection(tuple(sorted(wanted or ()))))
        self._listed: frozenset[str] | None = None
        self._answered: set[str] = set()
        """The services of which Consul has told since the start."""
        self._known: dict[str, fold.Known] = {}
        self._told: dict[str, tuple[fold.Known | None, Service]] = {}
        self._stamps: dict[str, Stamp] = {}
        self._identity = Stamp(-1, "")
        self._trouble: dict[str, str] = {}
        self._skipped: dict[str, tuple[decode.Skipped, ...]] = {}
        self._whole = Whole()
        self._listing = State()
        self._due = Due()
        self._states: dict[str, State] = {}
        """By service: what was read of it last, where it was read at once."""

    async def run(self, ready: Ready) -> None:
        """Follow until cancelled."""
        self._restore()
        self._publish()
        ready()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._expire(), name="watcher:expire")
                group.create_task(self._keep(), name="watcher:keep")
                await self._follow_all(group)
        finally:
            self._health.stopped()

    async def _follow_all(self, group: asyncio.TaskGroup) -> None:
        running: dict[str, asyncio.Task[None]] = {}
        async for chosen in self._selection.values():
            plan = self._plan(chosen.names)
            for key in running.keys() - plan.keys():
                running.pop(key).cancel()
                self._trouble.pop(key, None)
            for key in plan.keys() - running.keys():
                running[key] = group.create_task(plan[key](), name=f"watcher:{key}")
            self._report()

    def _plan(self, names: tuple[str, ...]) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        everything = {"*services": self._follow_services} if self._wanted is None else {}
        if len(names) + len(everything) <= QUERIES:
            return {**everything, **{name: partial(self._follow, name) for name in names}}
        reads = {f"*reads {number}": partial(self._due.read, self._read) for number in range(READS)}
        return {
            "*services": self._follow_services,
            "*checks": self._follow_checks,
            "*again": self._read_again,
            **reads,
        }

    async def _follow(self, name: str) -> None:
        async def ask(index: int, wait: float) -> tuple[int, tuple[int, list[Any]]]:
            new, rows = await self._client.instances(name, index, wait)
            return new, (new, rows)

        async def see(answer: tuple[int, list[Any]]) -> None:
            await self.observe(name, answer[1], answer[0])

        await blocking.follow(self._client, ask, see, partial(self._failed, name), streamed=True)

    async def _follow_services(self) -> None:
        self._listing = State()
        await blocking.follow(
            self._client, self._list_services, self._see_services, partial(self._failed, "*services")
        )

    async def _list_services(self, index: int, wait: float) -> tuple[int, tuple[State, list[str]]]:
        new, names = await self._client.services(index, wait)
        return new, (State(new, self._client.breaks), names)

    async def _see_services(self, answer: tuple[State, list[str]]) -> None:
        listing, names = answer
        self._succeeded("*services")
        if self._wanted is None:
            self._listed = frozenset(filter(decode.usable, names))
            self._select()
            self._publish()
        # Each registration of an instance raises the index, with a check or without; time that is over does not.
        if listing != self._listing:
            self._listing = listing
            self._want_all()

    async def _follow_checks(self) -> None:
        self._whole = Whole()
        await blocking.follow(
            self._client, self._client.checks, self._see_checks, partial(self._failed, "*checks")
        )

    async def _see_checks(self, marks: selection.Marks | None) -> None:
        self._succeeded("*checks")
        if marks is None:
            return
        before, names = self._whole, self._selection.value.names
        self._whole = Whole(marks, self._client.breaks)
        if before.breaks >= 0:
            self._due.want(selection.changed(before.marks, marks, names), urgent=True)
        if self._client.breaks != before.breaks:
            self._want_all()

    async def _read_again(self) -> None:
        while True:
            await asyncio.sleep(REREAD)
            self._states.clear()  # what a token may see changes without an index
            self._want_all()

    def _want_all(self) -> None:
        names = self._selection.value.names
        self._due.want((name for name in names if name not in self._answered), urgent=True)
        self._due.want(names)

    async def _read(self, name: str) -> bool:
        breaks, state = self._client.breaks, self._states.get(name, State())
        try:
            index, rows = await self._client.newer(name, state.index if state.breaks == breaks else 0)
            if rows is not None:
                await self.observe(name, rows, index)
        except PillionError as error:
            self._failed(name, error)
            return False
        if rows is None:
            self._succeeded(name)
        else:
            self._states[name] = State(index, breaks)
        return True

    async def observe(self, name: str, rows: list[Any], index: int = 0) -> None:
        """Take in Consul's answer about one service, with its index; raises Transient where another answer is needed to
        understand it, and is then as if it had not come."""
        reading = decode.reading(name, rows)
        before = self._known.get(name, fold.Known(name))
        breaks, stamp = self._client.breaks, self._stamps.get(name, Stamp(-1, ""))
        identity = stamp.identity
        if stamp.breaks != breaks or not identity:
            identity = await self._read_identity(breaks)
        unbroken, known_store = stamp.breaks == breaks, bool(identity) and identity == stamp.identity
        if not unbroken and known_store and index < stamp.index and fold.missing(before, reading):
            # A server that is behind looks like a store that was put back to an earlier state.
            index, rows = await self._client.led(name)
            reading = decode.reading(name, rows)
        same = unbroken or (known_store and index >= stamp.index)
        lost = not same and fold.missing(before, reading)
        lost = lost or (fold.last_gone(before, reading) and await self._went(before.nodes))
        self._succeeded(name)
        self._note_skipped(name, reading.skipped)
        first = name not in self._answered
        self._answered.add(name)
        self._stamps[name] = Stamp(breaks, identity, index)
        now = self._clock()
        known = fold.fold(before, reading, lost=lost, keep_last=self._keep_last, now=now)
        if lost or (known.lost and not before.lost):
            log.warning("catalog.lost", service=name, instances=len(known.lost))
        if known.quiet and not before.quiet:
            log.warning("catalog.quiet", service=name, instances=len(known.quiet))
        if first or known != before:
            self._known[name] = known
            self._select()
            self._publish()

    async def _went(self, nodes: tuple[decode.Node, ...]) -> bool:
        """Whether one of these nodes is gone or made anew; one that may not be asked for counts as there. Raises
        Transient."""
        for node in nodes:
            with contextlib.suppress(Permanent):
                if await self._client.birth(node.name) != node.birth:
                    return True
        return False

    async def _read_identity(self, breaks: int) -> str:
        if self._identity.breaks != breaks or not self._identity.identity:
            self._identity = Stamp(breaks, await self._client.identity())
        return self._identity.identity

    def _select(self) -> None:
        """Choose anew which services to follow, where every registered one is wanted."""
        if self._listed is None:
            return
        before = self._selection.value.names
        held = frozenset(name for name, known in self._known.items() if not known.empty)
        self._selection.set(selection.choose(before, self._listed, held))
        names = set(self._selection.value.names)
        self._due.want(names - set(before), urgent=True)
        for name in set(before) - names:
            self._due.drop(name)
            self._trouble.pop(name, None)
        for name in self._known.keys() - names:
            del self._known[name]
            self._stamps.pop(name, None)
            self._states.pop(name, None)
            self._skipped.pop(name, None)

    def _publish(self) -> None:
        chosen = self._selection.value
        services = self._services(chosen.names)
        listed = self._wanted is not None or self._listed is not None
        known = listed and self._answered.issuperset(chosen.names)
        self._catalog.set(Catalog(services, chosen.left_out, known))
        self._metrics.services.set(len(services))
        self._metrics.instances.set(sum(len(service.instances) for service in services.values()))
        self._metrics.stale.set(sum(service.stale for service in services.values()))
        self._metrics.left_out.set(len(chosen.left_out))
        self._report()

    def _services(self, names: tuple[str, ...]) -> dict[str, Service]:
        """The services as callers get them, each the object of before unless something became known of it."""
        told = {}
        for name in names:
            known, entry = self._known.get(name), self._told.get(name)
            if entry is None or entry[0] is not known:
                entry = known, (known or fold.Known(name)).service()
            told[name] = entry
        self._told = told
        return {name: service for name, (_, service) in told.items()}

    async def _expire(self) -> None:
        while True:
            version = self._catalog.version
            end = min(
                (fold.until(known, self._keep_last) for known in self._known.values()), default=math.inf
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if end == math.inf else max(end - self._clock(), 0.0)):
                    await self._catalog.changed(version)
            now = self._clock()
            for name, known in self._known.items():
                self._known[name] = fold.expired(known, keep_last=self._keep_last, now=now)
            self._select()
            self._publish()

    def _restore(self) -> None:
        if self._file is None:
            return
        found = remembered.load(self._file)
        for name, reading in found.services.items():
            if self._wanted is None or name in self._wanted:
                self._known[name] = fold.Known(
                    name, reading.passing, routes=reading.routes, namespaces=reading.namespaces
                )
                self._stamps[name] = Stamp(-1, found.identity)
        if self._wanted is None:
            self._selection.set(selection.choose((), frozenset(self._known), frozenset()))

    async def _keep(self) -> None:
        """Write each newer catalogue to disk, at most once a second, and the last one when cancelled."""
        if self._file is None:
            return
        kept = self._catalog.version
        try:
            while True:
                version = await self._catalog.changed(kept)
                await to_its_end(partial(self._write, self._file))
                kept = version
                await asyncio.sleep(1.0)
        finally:
            if kept != self._catalog.version:
                self._write(self._file)

    def _write(self, file: Path) -> None:
        # What was lost must be taken for lost by the next run too, so it is kept under no name.
        services = self._catalog.value.services.values()
        identity = "" if any(service.stale for service in services) else self._identity.identity
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, remembered.encode(services, identity))
        except OSError as error:
            log.warning("catalog.not_kept", path=str(file), error=str(error))

    def _note_skipped(self, name: str, skipped: tuple[decode.Skipped, ...]) -> None:
        if skipped == self._skipped.get(name, ()):
            return
        self._skipped[name] = skipped
        for entry in skipped:
            self._metrics.skipped.inc()
            log.warning("catalog.entry_skipped", service=name, instance=entry.who, reason=entry.reason)

    def _failed(self, subject: str, error: PillionError) -> None:
        self._metrics.failures.labels("catalog").inc()
        if not self._trouble:
            log.warning("catalog.unreadable", error=str(error))
        self._trouble[subject] = str(error)
        self._report()

    def _succeeded(self, subject: str) -> None:
        if self._trouble.pop(subject, None) is not None and not self._trouble:
            log.info("catalog.readable")
        self._report()

    def _report(self) -> None:
        stale = [name for name, service in self._catalog.value.services.items() if service.stale]
        left_out = self._selection.value.left_out
        if self._trouble:
            why = next(iter(self._trouble.values()))
            self._health.degraded(f"the last known catalogue is in use: {why}")
        elif left_out:
            self._health.degraded(
                f"{len(left_out)} services beyond the limit of {selection.MOST} are left out, such as "
                f"{', '.join(left_out[:5])}: name the ones that are needed in `upstreams`"
            )
        elif stale:
            self._health.degraded(f"Consul lost {', '.join(stale[:5])}; the last known instances are in use")
        else:
            self._health.ok()
