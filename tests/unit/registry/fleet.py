"""Instances of one service with their restarts, and a Consul in memory with sessions, locks and checks."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from agent.model.registration import Registration, Verdict
from agent.model.store import Entry, Store
from agent.registry.lock import Lock
from agent.registry.metrics import Metrics
from agent.registry.restarts import Restarts, key_of
from agent.runtime.errors import Transient
from agent.runtime.health import Board
from agent.runtime.journal import Journal
from agent.runtime.latest import Latest

KEY = key_of("orders")
GONE = 60.0
"""Seconds after which one without its lock counts as gone."""


def now() -> float:
    return asyncio.get_running_loop().time()


class Consul:
    """What Consul's documentation says of sessions and locks, in the loop's time."""

    def __init__(self) -> None:
        self.away = False
        self.rows: dict[str, dict[str, Any]] = {}
        self.sessions: dict[str, float] = {}
        """When each ends."""
        self.checks: dict[str, str] = {}
        """Of each registered instance."""
        self.out: list[frozenset[str]] = []
        """Who did not pass, at each change."""
        self.delayed = 0.0
        self._index = 1

    def mark(self, instance: str, passing: bool) -> None:
        self.checks[instance] = "passing" if passing else "critical"
        self.out.append(frozenset(one for one, status in self.checks.items() if status != "passing"))

    def expire(self) -> None:
        for session, until in list(self.sessions.items()):
            if now() >= until:
                self._end(session)
                self.delayed = now() + 1.0

    def _end(self, session: str) -> None:
        self.sessions.pop(session, None)
        for row in self.rows.values():
            if row.get("Session") == session:
                del row["Session"]
                self._touch(row)

    def _touch(self, row: dict[str, Any]) -> None:
        self._index += 1
        row["ModifyIndex"] = self._index

    def _here(self) -> None:
        self.expire()
        if self.away:
            raise Transient("Consul is away")

    async def put(self, path: str, body: str | bytes = "", params: Sequence[tuple[str, str]] = ()) -> Any:
        await asyncio.sleep(0.001)
        self._here()
        if path == "/v1/session/create":
            self._index += 1
            session = f"session-{self._index}"
            self.sessions[session] = now() + 15.0
            return {"ID": session}
        verb, _, session = path.removeprefix("/v1/session/").partition("/")
        if verb == "renew":
            if session not in self.sessions:
                return None
            self.sessions[session] = now() + 15.0
            return []
        if verb == "destroy":
            self._end(session)
            return True
        (verb, session), row = params[0], self.rows.setdefault(path.removeprefix("/v1/kv/"), {})
        assert session in self.sessions, "Consul answers 500 to an unknown session"
        holder = row.get("Session")
        if verb == "acquire" and (holder not in {None, session} or (holder is None and now() < self.delayed)):
            return False
        if verb == "release" and holder != session:
            return False
        row.update(Value=str(body).encode(), Session=session if verb == "acquire" else None)
        if verb == "release":
            del row["Session"]
        self._touch(row)
        return True

    async def row(self, key: str, index: int = 0, wait: float = 0) -> tuple[int, dict[str, Any] | None]:
        until = now() + wait
        while True:
            await asyncio.sleep(0.001 if not wait else 0.1)
            self._here()
            row = self.rows.get(key)
            found = row["ModifyIndex"] if row else 1
            if found != index or now() >= until:
                return found, dict(row) if row else None

    async def entries(self, service: str, instance: str) -> list[Any]:
        await asyncio.sleep(0.001)
        self._here()
        return [one for one in (await self.instances(service))[1] if one["Service"]["ID"] == instance]

    async def instances(self, service: str) -> tuple[int, list[Any]]:
        self._here()
        return 1, [
            {"Service": {"ID": one, "Service": service}, "Checks": [{"Status": status}]}
            for one, status in self.checks.items()
        ]


class Instance:
    """One of them. ``passes`` says with which values its service is well, ``boot`` how long a start takes."""

    def __init__(self, consul: Consul, name: str, passes: str = "old new", boot: float = 1.0) -> None:
        self.consul, self.name, self.passes, self.boot = consul, name, passes, boot
        self.verdicts = Latest(Verdict(True, "well"))
        self.registration = Latest(Registration(True, Verdict(True, "well")))
        self.leaving = Latest(False)
        self.draining = Latest(False)
        self.store = Latest(Store({"limit": Entry(1, b"old")}, 1))
        self.board = Board(lambda: 0.0)
        self.metrics = Metrics(CollectorRegistry())
        self.journal = Journal(lambda: 0.0)
        self.has = "old"
        self.secret = ""
        """What a file holds to which the value refers; the store does not change with it."""
        self.started: list[float] = []
        self.ended = False
        self.gone = False
        self._tasks: list[asyncio.Task[None]] = []
        consul.mark(name, True)
        self.restarts = Restarts(
            Lock(consul, KEY, name, clock=now), consul, self._restart, self,
            service="orders", instance=name, verdicts=self.verdicts, registration=self.registration,
            leaving=self.leaving, draining=self.draining, store=self.store, ended=lambda: self.ended, spread=2.0,
            gone_after=GONE, health=self.board.of("restarts"), metrics=self.metrics, journal=self.journal, clock=now,
        )  # fmt: skip

    def hold(self, why: str) -> None:
        self._pass(Verdict(False, why))

    def resume(self) -> None:
        if self.gone:
            return
        self._tasks.append(asyncio.create_task(self._come()))

    async def _come(self) -> None:
        await asyncio.sleep(self.boot)
        if self.has in self.passes.split():
            self._pass(Verdict(True, "well"))
        else:
            self._pass(Verdict(False, "it answered 500"))

    def _pass(self, verdict: Verdict) -> None:
        self.verdicts.set(verdict)
        self.registration.set(Registration(True, verdict))
        if self.name in self.consul.checks:
            self.consul.mark(self.name, verdict.passing)

    async def _restart(self) -> None:
        self.started.append(now())
        await asyncio.sleep(self.boot)
        self.has = self.store.value.entries["limit"].value.decode() + self.secret

    def write(self, text: str, index: int) -> None:
        """The value changes in KV."""
        self.store.set(Store({"limit": Entry(index, text.encode())}, index))

    async def ask(self, before: str, after: str) -> bool:
        """As the delivery does."""
        return await self.restarts.ask(before, after)

    @property
    def word(self) -> str:
        return self.board.reports["restarts"].detail

    def noted(self) -> list[str]:
        return [f"{one.outcome}: {one.detail}" for one in self.journal.newest]

    async def run(self) -> None:
        self._tasks.append(asyncio.create_task(self.restarts.run(lambda: None)))
        await asyncio.sleep(0.01)

    async def end(self) -> None:
        """In order, as an agent that is stopped."""
        self.gone = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def end_of_it(self) -> None:
        """As an agent whose service ended of what it was given: in order, and out of the catalogue."""
        self.ended = True
        self.leaving.set(True)
        await self.end()
        del self.consul.checks[self.name]

    async def die(self) -> None:
        """Without a word to Consul."""
        away, self.consul.away = self.consul.away, True
        await self.end()
        self.consul.away = away


@contextlib.asynccontextmanager
async def fleet(*instances: Instance) -> AsyncIterator[None]:
    """All of them run."""
    try:
        for one in instances:
            await one.run()
        yield
    finally:
        for one in instances:
            await one.end()


async def change(text: str, index: int, *instances: Instance, before: str = "old") -> None:
    """The value changes for all of them."""
    for one in instances:
        one.write(text, index)
        await one.ask(before, text)


async def rotate(secret: str, *instances: Instance, before: str = "old") -> None:
    """The file has other content for all of them."""
    for one in instances:
        one.secret = secret
        await one.ask(before, f"old{secret}")


def phase(consul: Consul) -> str:
    """What the lock's value says."""
    return str(json.loads(consul.rows[KEY]["Value"])["phase"])
