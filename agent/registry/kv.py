"""Follows the service's folder and the shared folder of Consul's KV and keeps the last values on disk."""

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from agent.model.store import Entry, Store
from agent.registry import blocking
from agent.registry.client import Client
from agent.registry.metrics import Metrics
from agent.runtime.component import Ready
from agent.runtime.errors import PillionError
from agent.runtime.files import write_atomically
from agent.runtime.health import Health
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

PATIENCE = 5.0
"""Seconds that a start waits for Consul before it takes the values on disk."""

MOST = 2000
"""Keys that a folder may have."""
LARGEST = 4 * 1024 * 1024
"""Bytes of all values of a folder."""
LONGEST_KEY = 512
"""Characters of a key below the folder; longer ones are left out."""

Folder = Mapping[str, Entry]


class Configuration:
    """Ready with Consul's values, or after ``PATIENCE`` with those that an earlier run left on disk, or
    with none.

    A folder that is suddenly empty after Consul failed to answer was lost, not cleared: its last values stay. So they
    do when there is more in it than a folder may have.
    """

    name = "configuration"
    stop_budget = 1.0

    def __init__(
        self,
        client: Client,
        service: str,
        store: Latest[Store],
        file: Path | None,
        *,
        health: Health,
        metrics: Metrics,
        patience: float = PATIENCE,
    ) -> None:
        """``file``: where the last values outlive the agent, readable by its user only."""
        self._client = client
        self._service = service
        self._store = store
        self._file = file
        self._health = health
        self._metrics = metrics
        self._patience = patience
        self._folders: dict[bool, Folder] = {}
        """By whether it is the shared one; both are needed before anything is published."""
        self._breaks: dict[bool, int] = {}
        self._problems: dict[bool, str] = {}
        """Why the last values of a folder stay in use."""
        self._complete = asyncio.Event()

    async def run(self, ready: Ready) -> None:
        """Follow both folders until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for shared, prefix in ((False, f"config/{self._service}/"), (True, "config/_shared/")):
                    group.create_task(self._follow(prefix, shared), name=f"configuration:{prefix}")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._patience):
                        await self._complete.wait()
                if not self._complete.is_set():
                    self._restore()
                    await self._do_without()
                ready()
        finally:
            self._health.stopped()

    async def _follow(self, prefix: str, shared: bool) -> None:
        ask, seen = partial(self._client.values, prefix), partial(self.observe, prefix, shared)
        await blocking.follow(self._client, ask, seen, self._failed)

    async def observe(self, prefix: str, shared: bool, rows: list[Any]) -> None:
        """Take in Consul's answer about one folder."""
        found, before = folder(prefix, shared, rows), self._folders.get(shared)
        lost = bool(before) and not found and self._breaks.get(shared) != self._client.breaks
        problem = f"Consul lost {prefix}" if lost else too_large(prefix, found)
        if problem and problem != self._problems.get(shared):
            log.warning("configuration.refused", problem=problem, keys=len(before or ()))
        self._problems[shared] = problem
        if not problem:
            self._breaks[shared] = self._client.breaks
            self._folders[shared] = found
        self._tell()
        await self._combine()

    async def _combine(self) -> None:
        if len(self._folders) == 2:
            self._complete.set()
            await self._publish(merged(self._folders[True], self._folders[False]))

    async def _do_without(self) -> None:
        """Take a folder that is not taken, and of which nothing was known before, for empty."""
        for shared, problem in self._problems.items():
            if problem:
                self._folders.setdefault(shared, {})
        await self._combine()

    def _tell(self) -> None:
        problems = [problem for problem in self._problems.values() if problem]
        if problems:
            self._health.degraded(
                "; ".join(f"{one}: its last values stay in use until that is mended" for one in problems)
            )
        elif len(self._problems) == 2:
            self._health.ok()

    async def _publish(self, store: Store) -> None:
        changed = store != self._store.value
        self._store.set(store)
        self._metrics.keys.set(len(store.entries))
        if changed and self._file is not None:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                await asyncio.to_thread(write_atomically, self._file, encode(store), 0o600)
            except OSError as error:
                log.warning("configuration.not_kept", path=str(self._file), error=str(error))

    def _restore(self) -> None:
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            found = parse(self._file.read_bytes())
            if found is None:
                log.warning("configuration.file_damaged", path=str(self._file))
                return
            log.info("configuration.from_disk", keys=len(found.entries))
            self._store.set(found)
            for shared in (False, True):
                # Consul may come back without them: then they were lost as well.
                entries = {key: entry for key, entry in found.entries.items() if entry.shared is shared}
                self._folders.setdefault(shared, entries)

    def _failed(self, error: PillionError) -> None:
        self._metrics.failures.labels("configuration").inc()
        self._health.degraded(f"the last known configuration is in use: {error}")


def folder(prefix: str, shared: bool, rows: list[Any]) -> Folder:
    """Consul's rows as entries by the key below the prefix;
    folders themselves and what is malformed are left out.
    """
    found = {}
    for row in rows:
        key, value, index = (
            (row.get("Key"), row.get("Value"), row.get("ModifyIndex"))
            if isinstance(row, dict)
            else 3 * (None,)
        )
        if (
            not isinstance(key, str)
            or not key.startswith(prefix)
            or key.endswith("/")
            or len(key) > len(prefix) + LONGEST_KEY
            or type(index) is not int
        ):
            continue
        found[key.removeprefix(prefix)] = Entry(
            max(index, 1), value if isinstance(value, bytes) else b"", shared
        )
    return found


def too_large(prefix: str, found: Folder) -> str:
    """Why a folder is not taken, as a clause; empty for one that is. Pure."""
    if len(found) > MOST:
        return f"{prefix} has {len(found)} keys, more than {MOST}"
    size = sum(len(entry.value) for entry in found.values())
    return f"{prefix} has {size} bytes of values, more than {LARGEST}" if size > LARGEST else ""


def merged(shared: Folder, own: Folder) -> Store:
    """The service's folder over the shared one."""
    entries = {**shared, **own}
    return Store(entries, max((entry.index for entry in entries.values()), default=0))


def encode(store: Store) -> bytes:
    """The content of the file of last values."""
    rows = [
        [key, entry.index, base64.b64encode(entry.value).decode(), entry.shared]
        for key, entry in sorted(store.entries.items())
    ]
    body = json.dumps(rows)
    return json.dumps({"hash": hashlib.sha256(body.encode()).hexdigest(), "body": body}).encode()


def parse(data: bytes) -> Store | None:
    """What ``encode`` wrote, None for anything else."""
    try:
        outer = json.loads(data)
        if hashlib.sha256(outer["body"].encode()).hexdigest() != outer["hash"]:
            return None
        rows = json.loads(outer["body"])
        entries = {
            str(key): Entry(int(index), base64.b64decode(value), bool(shared))
            for key, index, value, shared in rows
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return Store(entries, max((entry.index for entry in entries.values()), default=0))
