"""PostgreSQL clusters that a test loses and restores, with PostgreSQL's own tools."""

import asyncio
import hashlib
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from agent.demo import backing
from agent.outbox.snapshot import Snapshot

DATABASE = "shop"
PAGE = 32768
"""Transactions in a page of the commit log: a counter may be set to its start only."""


async def tool(name: str, *arguments: str, cwd: Path | None = None) -> None:
    """Run one of PostgreSQL's programs to its end, as a user that it accepts."""
    user = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
    done = await asyncio.to_thread(
        subprocess.run, [str(backing.postgres_bin() / name), *arguments], capture_output=True, text=True,
        user=user, group=user, cwd=cwd or "/", env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


async def cluster(folder: Path, *, at: int = 0, create: bool = True) -> backing.Postgres:
    """A running cluster with an empty database; ``at`` sets its transaction counter, in pages."""
    server = await asyncio.to_thread(backing.Postgres, folder, None, {"fsync": "off"})
    if at:
        await tool("pg_resetwal", "-x", str(at * PAGE), "-D", str(server.data))
    await asyncio.to_thread(server.start)
    if create:
        admin = await asyncpg.connect(server.url)
        await admin.execute(f"CREATE DATABASE {DATABASE}")
        await admin.close()
    return server


async def restore(dump: Path, url: str, *options: str) -> None:
    """A dump into an empty database, as docs/outbox-restore.md says."""
    admin = await asyncpg.connect(url)
    await admin.execute(
        "DO 'BEGIN CREATE ROLE pillion_owner NOLOGIN NOINHERIT; EXCEPTION WHEN duplicate_object THEN END'"
    )
    await admin.close()
    await tool("pg_restore", "--exit-on-error", *options, "-d", url, str(dump))


@dataclass(frozen=True)
class Ledger:
    """What the restored tables say, read without Pillion's own SQL."""

    published: frozenset[int]
    unpublished: frozenset[int]


async def ledger(connection: Any, feed: str, table: str) -> Ledger:
    """Which rows the positions of the ledger cover."""
    buckets = {
        row["bucket"]: row
        for row in await connection.fetch(
            "SELECT bucket, base::text, target::text, pos FROM pillion.bucket WHERE feed = $1", feed
        )
    }
    published, unpublished = set(), set()
    for row in await connection.fetch(f"SELECT id, xid::text::int8 AS xid, key FROM {table}"):
        place = buckets[hashlib.sha256(row["key"].encode()).digest()[0] & 63]
        seen = Snapshot.parse(place["base"]).sees(row["xid"])
        if not seen and place["target"]:
            seen = Snapshot.parse(place["target"]).sees(row["xid"]) and row["id"] <= place["pos"]
        (published if seen else unpublished).add(row["id"])
    return Ledger(frozenset(published), frozenset(unpublished))
