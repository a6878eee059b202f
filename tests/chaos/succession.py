"""Databases that are lost, and what takes over: a standby, or another cluster that has a backup.

While nobody works on them the lost one's end and the successor's beginning are read, for they are what is judged by.
"""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from agent.demo import backing
from agent.outbox.adoption import Adopter
from agent.outbox.database import Database
from agent.outbox.relay import boot_clock
from agent.outbox.sql.install import SESSION
from agent.runtime.errors import Transient
from tests.chaos import ledgers
from tests.chaos.ledgers import Held
from tests.chaos.moves import Moved
from tests.chaos.rig import Rig
from tests.chaos.workload import BROKEN, Workload
from tests.integration.outbox import clusters
from tests.waiting import until

STREAMING = """
SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn >= $1::text::pg_lsn"""
EARLY = 0.5
"""Seconds for which the relays are led to a standby that is not promoted yet."""

PATIENCE = 5.0
"""Seconds that an adoption tries to lock tables that are written all the time, before the writers are asked to wait."""


async def failover(rig: Rig, lasting: float, *, early: bool) -> None:
    """Make a standby, let it follow for ``lasting`` seconds, end the primary without a word, promote the standby.
    ``early``: the relays find the standby before it is promoted."""
    old = rig.postgres
    standby = await _standby(rig)
    await asyncio.sleep(lasting)
    # Not waited for: what the standby has not got by now it never gets.
    await _end(old)
    if early:
        rig.database.target = standby.port
        await asyncio.sleep(EARLY)
    rig.database.cut()
    async with _session(standby) as session:
        await session.execute("SELECT pg_promote(true, 60)")
        known = await ledgers.known(session)
    rig.lost(*await _remains(rig, old), known)
    rig.exchange(standby)
    rig.database.heal()


async def restore(rig: Rig, workload: Workload, lasting: float) -> None:
    """Take a backup, go on for ``lasting`` seconds, lose the cluster, restore the backup into another, adopt it."""
    old = rig.postgres
    folder = rig.place()
    dump = folder / "backup"
    await clusters.tool("pg_dump", "-Fc", "-Z0", "-f", str(dump), old.url)
    await asyncio.sleep(lasting)
    await _end(old)
    new = await asyncio.to_thread(rig.server)
    new.launch()
    await asyncio.to_thread(new.wait)
    await clusters.restore(dump, new.url, "--single-transaction")
    await asyncio.to_thread(shutil.rmtree, folder)
    async with _session(new) as session:
        known = await ledgers.known(session)
    rig.lost(*await _remains(rig, old), known)
    rig.exchange(new)
    await _adopt(rig, workload)


async def _standby(rig: Rig) -> backing.Postgres:
    old, place = rig.postgres, rig.place()
    where = ("-h", "127.0.0.1", "-p", str(old.port), "-U", "postgres")
    await clusters.tool("pg_basebackup", *where, "--checkpoint=fast", "-R", "-D", str(place / "data"))
    standby = rig.server(place)
    standby.launch()
    await asyncio.to_thread(standby.wait)
    async with _session(old) as session:
        reached = await session.fetchval("SELECT pg_current_wal_flush_lsn()::text")
        await until(lambda: session.fetchval(STREAMING, reached), within=60)
    return standby


async def _end(server: backing.Postgres) -> None:
    await asyncio.to_thread(server.stop, 20, signal.SIGQUIT)


async def _remains(rig: Rig, old: backing.Postgres) -> tuple[Held, Moved]:
    """What was durable in a cluster that has ended, found at a port that nobody knows."""
    alone = rig.server(old.data.parent)
    alone.launch()
    await asyncio.to_thread(alone.wait)
    async with _session(alone) as session:
        found = await ledgers.held(session), await ledgers.moved(session)
    await _end(alone)
    await asyncio.to_thread(shutil.rmtree, old.data.parent)
    return found


async def _adopt(rig: Rig, workload: Workload) -> None:
    url = rig.postgres.url
    database = Database(lambda: url, settings={**SESSION, "application_name": "chaos"})
    adopter = Adopter(database, rig.settings, lambda _text: None, PATIENCE, boot_clock)
    try:
        await adopter.adopt("restored")
    except Transient:
        # As a person would choose a quiet moment.
        workload.going.clear()
        try:
            await Adopter(database, rig.settings, lambda _text: None, 60.0, boot_clock).adopt("restored")
        finally:
            workload.going.set()


@contextlib.asynccontextmanager
async def _session(server: backing.Postgres) -> AsyncIterator[Any]:
    """A session with a server that nothing breaks, closed after the body."""

    async def connected() -> Any:
        try:
            return await asyncpg.connect(server.url, server_settings={"application_name": "chaos"})
        except BROKEN as error:
            raise AssertionError(str(error)) from error

    session = await until(connected, within=60)
    try:
        yield session
    finally:
        session.terminate()
