"""A PostgreSQL primary with a streaming standby: what a relay does when that takes over, and what may be lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from agent.config.sections.outbox import Outbox, Table
from agent.demo import backing
from agent.outbox.adoption import Adopter
from agent.outbox.database import Database
from agent.outbox.relay import Relay, boot_clock
from agent.outbox.sql.install import SESSION
from agent.runtime.errors import Permanent
from tests.integration.outbox import clusters, history
from tests.integration.outbox.bench import Arrived, Bench
from tests.integration.outbox.test_history import complete
from tests.waiting import until

OB = "CREATE TABLE ob (id bigserial PRIMARY KEY, key text, payload jsonb)"
NOTE = "INSERT INTO ob (key, payload) VALUES ('k', to_jsonb($1::text))"
SYNCHRONOUS = "ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()"


class Pair:
    """A primary and its standby. The bench uses the primary until ``fail_over``."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self._folder = folder
        self.servers: list[backing.Postgres] = []

    async def start(self) -> None:
        self.servers.append(await clusters.cluster(self._folder / "first"))
        self.primary = self.servers[0]
        folder = self._folder / "second"
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        where = ("-h", "127.0.0.1", "-p", str(self.primary.port), "-U", "postgres")
        await clusters.tool("pg_basebackup", *where, "--checkpoint=fast", "-R", "-D", str(folder / "data"))
        self.standby = await clusters.cluster(folder, create=False)
        self.servers.append(self.standby)
        self.bench.url = self.primary.database(clusters.DATABASE)
        await self.bench.open()
        await self.until_streaming()

    @property
    def url(self) -> str:
        """Both servers; the client finds the one that takes writes."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.servers)
        return f"postgresql://postgres@{hosts}/{clusters.DATABASE}?target_session_attrs=primary"

    async def until_streaming(self) -> None:
        """The standby has all that the primary wrote."""

        async def same() -> bool:
            return bool(
                await self.bench.service.fetchval(
                    "SELECT bool_and(replay_lsn >= pg_current_wal_flush_lsn()) FROM pg_stat_replication"
                )
            )

        await until(same, within=20)

    async def synchronous(self) -> None:
        """From now on a commit waits for the standby."""
        for each in SYNCHRONOUS.split("; "):
            await self.bench.service.execute(each)

        async def waits() -> bool:
            return bool(
                await self.bench.service.fetchval(
                    "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
                )
            )

        await until(waits, within=20)

    async def cut(self) -> None:
        """The standby gets nothing more."""
        await asyncio.to_thread(self.standby.stop)

    async def fail_over(self) -> None:
        """The primary is gone from one moment to the next, the standby takes over."""
        await asyncio.to_thread(self.primary.kill)
        if self.standby.pid is None:
            await asyncio.to_thread(self.standby.start)
        await clusters.tool("pg_ctl", "promote", "-w", "-D", str(self.standby.data))
        self.bench.url = self.standby.database(clusters.DATABASE)
        await self.bench.open()

    def stop(self) -> None:
        for each in self.servers:
            each.kill()


@pytest.fixture
async def pair(shared_nats: backing.Nats, short_folder: Path) -> AsyncIterator[Pair]:
    short_folder.chmod(0o777)
    bench = Bench("", shared_nats.url)
    found = Pair(bench, short_folder)
    try:
        await found.start()
        yield found
    finally:
        await bench.close()
        await asyncio.to_thread(found.stop)


async def prepared(pair: Pair, ddl: str = OB) -> Outbox:
    await pair.bench.service.execute(ddl)
    await pair.bench.make_stream()
    settings = pair.bench.settings(tables=(Table(table="ob"),))
    await pair.bench.init(settings)
    return msgspec.structs.replace(settings, database=pair.url)


def told(arrived: list[Arrived]) -> list[tuple[str, Any]]:
    """History and content of each."""
    return [(each.headers["ce-sequence"].partition("-")[0], each.data) for each in arrived]


async def test_behind_an_asynchronous_standby_published_events_may_be_of_commits_that_are_gone(
    pair: Pair,
) -> None:
    bench = pair.bench
    settings = await prepared(pair)
    async with bench.relay(settings) as relay:
        await bench.service.execute(NOTE, "kept")
        await bench.until_arrived(1)
        await pair.until_streaming()
        await pair.cut()
        await bench.service.execute(NOTE, "lost")
        before = await bench.until_arrived(2)
        await pair.fail_over()
        await bench.service.execute(NOTE, "after")

        async def goes_on() -> list[Arrived]:
            found = await bench.arrived()
            assert "after" in [each.data for each in found]
            return found

        arrived = await until(goes_on, within=60, every=0.2)

        async def well() -> bool:
            return (await relay.status())[0].problem == ""

        await until(well)
    assert [row["payload"] for row in await bench.service.fetch("SELECT payload FROM ob ORDER BY id")] == [
        '"kept"', '"after"'
    ]  # fmt: skip
    assert told(before) == [("000001", "kept"), ("000001", "lost")]
    # What the standby did not know as published comes again, with the id that it had.
    ids = {each.data: each.headers["ce-id"] for each in before}
    for each in arrived[2:]:
        assert each.headers["ce-id"] == ids.get(each.data, each.headers["ce-id"])
        assert each.headers["ce-sequence"] > before[-1].headers["ce-sequence"]
        assert each.data != "lost"
    assert arrived[-1].headers["ce-id"] not in ids.values()
    # Its number was given out before, for what is lost: no broker and no consumer may take it for that.
    assert told(arrived)[-1] == ("000002", "after")


async def test_behind_a_synchronous_standby_nothing_is_published_that_a_failover_could_lose(
    pair: Pair,
) -> None:
    bench = pair.bench
    settings = await prepared(pair)
    await pair.synchronous()
    async with bench.relay(settings):
        await bench.service.execute(NOTE, "kept")
        await bench.until_arrived(1)
        await pair.cut()
        waiting = await bench.connect()
        waits = asyncio.create_task(waiting.execute(NOTE, "waits for the standby"))
        local = await bench.connect(synchronous_commit="local")
        # The relay reads on meanwhile: what does not wait is published behind what does.
        await local.execute(NOTE.replace("'k'", "'other'"), "did not wait")
        arrived = await bench.until_arrived(2)
        assert not waits.done()
        assert [each.data for each in arrived] == ["kept", "did not wait"]
        await pair.fail_over()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await waits
        await bench.service.execute(NOTE, "after")

        async def goes_on() -> list[Any]:
            found = [each.data for each in await bench.arrived()]
            assert "after" in found
            return found

        found = await until(goes_on, within=60, every=0.2)
    assert "waits for the standby" not in found
    assert await bench.service.fetchval("SELECT count(*) FROM ob") == 2


async def test_a_commit_that_is_told_not_to_wait_for_the_standby_is_published_though_it_may_be_lost(
    pair: Pair,
) -> None:
    """PostgreSQL shows a commit whose wait was cancelled, with a warning to the client alone."""
    bench = pair.bench
    settings = await prepared(pair)
    await pair.synchronous()
    await pair.cut()
    waiting = await bench.connect()
    pid = await waiting.fetchval("SELECT pg_backend_pid()")
    waits = asyncio.create_task(waiting.execute(NOTE, "cancelled"))
    async with bench.relay(settings):

        async def hangs() -> bool:
            return bool(
                await bench.service.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'", pid
                )
            )

        await until(hangs, within=30)
        assert await bench.count() == 0
        await bench.service.execute("SELECT pg_cancel_backend($1)", pid)
        await waits
        assert [each.data for each in await bench.until_arrived(1)] == ["cancelled"]


async def test_a_relay_finds_the_new_primary_by_itself_and_loses_nothing_that_it_has(pair: Pair) -> None:
    """Writers and a relay are told of both servers; the standby is synchronous."""
    bench = pair.bench
    settings = await prepared(pair, history.AGGREGATE + history.OUTBOX)
    await pair.synchronous()
    log = history.History()
    async with bench.relay(settings):
        work = history.Writers(bench.connect, log, note=True, seed=1)
        work.start(4)
        await until(lambda: len(log.committed) > 100, within=60)
        await work.stop()
        await pair.fail_over()
        work = history.Writers(bench.connect, log, note=True, seed=2)
        work.start(4)
        await until(lambda: len(log.committed) > 200, within=60)
        await work.stop()
        await complete(bench, log, within=60)
    arrived = await bench.arrived()
    assert {each.headers["ce-sequence"].partition("-")[0] for each in arrived} == {"000001", "000002"}
    database = Database(lambda: pair.url, settings=SESSION)
    with pytest.raises(Permanent, match="nothing to adopt"):
        await Adopter(database, settings, bench.said.append, 20.0, boot_clock).adopt("restored")


async def test_two_relays_that_share_find_the_new_primary_and_lose_and_invert_nothing(pair: Pair) -> None:
    """It fails over while both publish a backlog; the standby is synchronous, so that it has every commit."""
    bench = pair.bench
    settings = await prepared(pair, history.AGGREGATE + history.OUTBOX)
    settings = msgspec.structs.replace(settings, page=50, lease=3.0)
    await pair.synchronous()
    log = history.History()
    async with bench.relay(settings, identity="one") as one, bench.relay(settings, identity="two") as two:
        await until(lambda: shared(bench, one, two), within=60)
        work = history.Writers(bench.connect, log, note=True, seed=1)
        work.start(4)
        await until(lambda: len(log.committed) > 100, within=60)
        await work.stop()
        before = await bench.count()
        log.commit(await backlog(bench, 100))

        async def both_publish() -> bool:
            published = [(await each.status())[0].published for each in (one, two)]
            return min(published) > 0 and await bench.count() > before + 200

        await until(both_publish, within=60, every=0.01)
        await pair.fail_over()
        known = await bench.service.fetchval("SELECT count(*) FROM ob")
        assert known == len(log.committed), "the standby was not synchronous"
        work = history.Writers(bench.connect, log, note=True, seed=2)
        work.start(4)
        await until(lambda: len(log.committed) > known + 100, within=60)
        await work.stop()
        await complete(bench, log, within=90)
        await until(lambda: shared(bench, one, two), within=60)
    arrived = await bench.arrived()
    assert {each.headers["ce-sequence"].partition("-")[0] for each in arrived} == {"000001", "000002"}


async def shared(bench: Bench, *relays: Relay) -> bool:
    """Whether each of the two relays has its half, by its own word and by the database's."""
    told = [(await each.status())[0] for each in relays]
    rows = await bench.service.fetch(
        "SELECT count(*)::int AS buckets FROM pillion.bucket WHERE owner IS NOT NULL GROUP BY owner"
    )
    return [each.buckets for each in told] == [row["buckets"] for row in rows] == [32, 32]


async def backlog(bench: Bench, rounds: int) -> list[tuple[int, int]]:
    """So many changes of each key in one transaction; its commit waits for the standby."""
    async with bench.service.transaction():
        for _ in range(rounds):
            await bench.service.execute("UPDATE aggregate SET v = v + 1")
            await bench.service.execute(
                "INSERT INTO ob (key, type, payload) SELECT k::text, 'changed', jsonb_build_object('k', k, 'v', v) "
                "FROM aggregate ORDER BY k"
            )
        found = await bench.service.fetch("SELECT k, v FROM aggregate")
    return [(row["k"], row["v"] - lower) for row in found for lower in range(rounds)]
