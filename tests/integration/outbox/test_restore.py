"""A database that was lost and restored from a backup: nothing is lost that it holds, nothing repeated that it knows
as published."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import msgspec
import pytest

from agent.config.sections.outbox import Outbox, Table
from agent.demo import backing
from agent.outbox.adoption import Adopted, Adopter, How
from agent.outbox.database import Database
from agent.outbox.relay import boot_clock
from agent.outbox.sql.install import SESSION
from agent.outbox.survey import survey
from agent.runtime.errors import Permanent
from agent.runtime.health import State
from tests.integration.outbox import clusters, history
from tests.integration.outbox.bench import Arrived, Bench
from tests.integration.outbox.test_history import FEEDS, prepared, writers
from tests.waiting import until

TABLES = {"changes": "pillion.outbox", "table": "public.ob"}


class Lost:
    """A bench whose cluster can be exchanged for another one."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.folder = folder
        self.said: list[str] = []
        self._servers: list[backing.Postgres] = []

    async def cluster(self, at: int = 0) -> backing.Postgres:
        """A new cluster, which the bench uses from now on."""
        server = await clusters.cluster(self.folder / f"cluster{len(self._servers)}", at=at)
        self._servers.append(server)
        self.bench.url = server.database(clusters.DATABASE)
        await self.bench.open()
        return server

    def settings(self, settings: Outbox) -> Outbox:
        """The same settings for the present cluster."""
        return msgspec.structs.replace(settings, database=self.bench.url)

    async def dump(self) -> Path:
        file = self.folder / "backup"
        await clusters.tool("pg_dump", "-Fc", "-f", str(file), self.bench.url)
        return file

    async def lose(self) -> None:
        """The cluster is gone from one moment to the next."""
        await asyncio.to_thread(self._servers[-1].kill)

    async def adopt(self, settings: Outbox, how: How = "restored") -> list[Adopted]:
        database = Database(lambda: settings.database, settings=SESSION)
        return await Adopter(database, settings, self.said.append, 20.0, boot_clock).adopt(how)

    def stop(self) -> None:
        for server in self._servers:
            server.kill()


@pytest.fixture
async def lost(shared_nats: backing.Nats, short_folder: Path) -> AsyncIterator[Lost]:
    """A service whose cluster is its own; the folder must be one that PostgreSQL's user can write to."""
    short_folder.chmod(0o777)
    bench = Bench("", shared_nats.url)
    lost = Lost(bench, short_folder)
    try:
        yield lost
    finally:
        await bench.close()
        await asyncio.to_thread(lost.stop)


@dataclass(frozen=True)
class Restored:
    """What a test finds after the restore."""

    settings: Outbox
    ledger: clusters.Ledger
    before: list[Arrived]
    """What was in the stream when the old cluster was lost."""


async def restored(lost: Lost, mode: str, tmp_path: Path, *, old: int, new: int) -> Restored:
    """Writers and a relay work, a backup is taken meanwhile, the cluster is lost, another one has the backup."""
    bench = lost.bench
    await lost.cluster(old)
    await bench.make_stream()
    # A relay that loses its lease on a slow machine may repeat what it sent last, and would be in the way here.
    settings = await prepared(bench, mode, lease=6.0)
    work = writers(bench, mode, history.History())
    child = bench.process(settings, tmp_path, "old")
    work.start()
    await until(lambda: _more(bench, 300), within=60)
    dump = await lost.dump()
    await until(lambda: _more(bench, 500), within=60)
    await work.stop()
    child.send_signal(signal.SIGKILL)
    child.wait()
    await lost.lose()
    await lost.cluster(new)
    await clusters.restore(dump, bench.url)
    found = await clusters.ledger(bench.service, FEEDS[mode], TABLES[mode])
    assert found.published
    assert found.unpublished
    return Restored(lost.settings(settings), found, await bench.arrived())


async def _more(bench: Bench, count: int) -> bool:
    return await bench.count() >= count


def row(message: Arrived) -> tuple[str, int]:
    """History and row number of a message."""
    life, _, number = message.headers["ce-sequence"].partition("-")
    return life, int(number)


@pytest.mark.parametrize("mode", ["changes", "table"])
@pytest.mark.parametrize(
    ("old", "new"), [(100, 0), (0, 0), (0, 100)], ids=["far-below", "overlapping", "far-above"]
)
async def test_what_the_backup_knew_as_unsent_and_what_is_written_since_arrives_once_and_nothing_else(
    lost: Lost, tmp_path: Path, mode: str, old: int, new: int
) -> None:
    bench = lost.bench
    now = await restored(lost, mode, tmp_path, old=old, new=new)
    restored_rows = now.ledger.published | now.ledger.unpublished
    early, late = (writers(bench, mode, history.History(), seed=seed) for seed in (7, 8))
    async with bench.relay(now.settings) as relay:

        async def stopped() -> bool:
            assert "`pillion outbox adopt --restored`" in (await relay.status())[0].problem
            return True

        await until(stopped, within=20)
        early.start(4)
        await asyncio.sleep(1.5)
        await early.stop()
        late.start(4)
        assert bench.board.reports["relay"].state is State.DEGRADED
        assert bench.metric("pillion_outbox_stopped_buckets") == 64
        assert await bench.count() == len(now.before), "something was published before the feed was adopted"
        (told,) = await lost.adopt(now.settings)
        await asyncio.sleep(1.5)
        await late.stop()
        written = {
            each["id"] for each in await bench.service.fetch(f"SELECT id FROM {TABLES[mode]}")
        } - restored_rows
        wanted = now.ledger.unpublished | written

        async def all_there() -> list[tuple[str, int]]:
            found = [row(each) for each in (await bench.arrived())[len(now.before) :]]
            assert {number for _, number in found} == wanted
            return found

        found = await until(all_there, within=60, every=0.2)

        async def well() -> bool:
            return (await relay.status())[0].problem == "" and (
                bench.metric("pillion_outbox_stopped_buckets") == 0
            )

        await until(well)
    assert len(found) == len(wanted)
    assert {life for life, _ in found} == {"000002"}
    assert (told.published, told.unpublished) == (len(now.ledger.published), len(now.ledger.unpublished))
    assert 0 < told.written < len(written)
    await in_order(bench, now)
    # A row with the number of a transaction that is still to come would be taken for that one's when it comes.
    ahead = (
        f"SELECT count(*) FROM {TABLES[mode]} WHERE NOT pg_visible_in_snapshot(xid, pg_current_snapshot())"
    )
    assert await bench.service.fetchval(ahead) == 0


async def in_order(bench: Bench, now: Restored) -> None:
    """A key's events arrive in the order in which they were written, and a repeated one has the id that it had."""
    messages = await bench.arrived()
    newest: dict[str, int] = {}
    ids = {row(each)[1]: each.headers["ce-id"] for each in now.before}
    for each in messages[len(now.before) :]:
        number = row(each)[1]
        assert number > newest.get(each.key, 0)
        newest[each.key] = number
        if number in now.ledger.unpublished:
            assert each.headers["ce-id"] == ids.get(number, each.headers["ce-id"])
        else:
            assert each.headers["ce-id"] not in ids.values()


OB = "CREATE TABLE ob (id bigserial PRIMARY KEY, key text, payload jsonb)"
NOTE = "INSERT INTO ob (key, payload) VALUES ('k', $1)"


async def noted(lost: Lost, settings: Outbox, *payloads: str) -> None:
    """Write events and wait until they arrived."""
    bench = lost.bench
    count = len({each.headers["Nats-Msg-Id"] for each in await bench.arrived()})
    async with bench.relay(settings):
        for each in payloads:
            await bench.service.execute(NOTE, each)
        await bench.until_arrived(count + len(payloads))


async def test_a_new_event_with_the_number_and_content_of_a_lost_one_is_no_duplicate_for_the_broker(
    lost: Lost,
) -> None:
    """The database is dropped and restored in the same cluster, whose identifier stays."""
    bench = lost.bench
    server = await lost.cluster()
    await bench.service.execute(OB)
    await bench.make_stream()
    await bench.change_stream(duplicate_window=120)
    settings = bench.settings(tables=(Table(table="ob"),))
    await bench.init(settings)
    await noted(lost, settings, '"before the backup"')
    dump = await lost.dump()
    await noted(lost, settings, '"after it"')
    await bench.close()
    admin = await asyncpg.connect(server.url)
    await admin.execute(f"DROP DATABASE {clusters.DATABASE} WITH (FORCE)")
    await admin.execute(f"CREATE DATABASE {clusters.DATABASE}")
    await admin.close()
    await clusters.restore(dump, bench.url, "--single-transaction")
    await bench.open()
    await bench.service.execute(NOTE, '"after it"')
    async with bench.relay(settings) as relay:

        async def stopped() -> bool:
            return "its tables were restored from a dump" in (await relay.status())[0].problem

        await until(stopped)
        (done,) = await lost.adopt(settings)
        assert (done.unpublished, done.written) == (1 - done.published, 1)
        await bench.service.execute(NOTE, '"the last"')
        arrived = await bench.until_arrived(4)
    assert [(row(each)[1], each.data) for each in arrived[1:]] == [
        (2, "after it"),
        (2, "after it"),
        (3, "the last"),
    ]
    assert arrived[1].headers["ce-id"] != arrived[2].headers["ce-id"]
    assert arrived[1].headers["ce-sequence"] < arrived[2].headers["ce-sequence"]


async def test_a_standby_that_takes_over_is_relayed_on_from_the_saved_position_in_another_history(
    lost: Lost,
) -> None:
    bench = lost.bench
    first = await lost.cluster()
    await bench.service.execute(OB)
    settings = bench.settings(tables=(Table(table="ob"),))
    await bench.init(settings)
    await noted(lost, settings, "1", "2")
    folder = lost.folder / "standby"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    where = ("-h", "127.0.0.1", "-p", str(first.port), "-U", "postgres")
    await clusters.tool("pg_basebackup", *where, "--checkpoint=fast", "-R", "-D", str(folder / "data"))
    await lost.lose()
    second = await clusters.cluster(folder, create=False)
    try:
        await clusters.tool("pg_ctl", "promote", "-w", "-D", str(second.data))
        bench.url = second.database(clusters.DATABASE)
        await bench.open()
        await noted(lost, lost.settings(settings), "3")
        assert await bench.service.fetchval("SELECT timeline FROM pillion.feed") == 2
        with pytest.raises(Permanent, match="nothing to adopt"):
            await lost.adopt(lost.settings(settings))
    finally:
        await asyncio.to_thread(second.kill)
    arrived = await bench.arrived()
    assert [(row(each)[0], each.data) for each in arrived] == [("000001", 1), ("000001", 2), ("000002", 3)]


@pytest.mark.parametrize("how", ["pg-upgraded", "restored"])
async def test_after_pg_upgrade_nothing_is_lost_or_repeated_whatever_is_said(lost: Lost, how: How) -> None:
    """From one version to the same: the identifier changes and the counter goes on as between two versions."""
    bench = lost.bench
    old = await lost.cluster(at=50)
    await bench.service.execute(OB)
    settings = bench.settings(tables=(Table(table="ob"),))
    await bench.init(settings)
    await noted(lost, settings, "1", "2")
    await bench.service.execute(NOTE, "3")
    await bench.close()
    await asyncio.to_thread(old.stop)
    new = await lost.cluster()
    admin = await asyncpg.connect(new.url)
    await bench.close()
    await admin.execute(f"DROP DATABASE {clusters.DATABASE} WITH (FORCE)")
    await admin.close()
    await asyncio.to_thread(new.stop)
    programs = str(backing.postgres_bin())
    await clusters.tool(
        "pg_upgrade", "-b", programs, "-B", programs, "-d", str(old.data), "-D", str(new.data), "-U", "postgres",
        "-p", str(old.port), "-P", str(new.port), cwd=lost.folder,
    )  # fmt: skip
    await asyncio.to_thread(new.start)
    await bench.open()
    now = lost.settings(settings)
    async with Database(lambda: now.database).connection() as connection:
        assert "`pillion outbox adopt --pg-upgraded`" in (await survey(connection, now))[0].problem
    (done,) = await lost.adopt(now, how)
    assert done.history == 2
    await noted(lost, now, "4")
    arrived = await bench.until_arrived(4)
    assert [each.data for each in arrived] == [1, 2, 3, 4]
    assert len({each.headers["ce-id"] for each in arrived}) == 4
