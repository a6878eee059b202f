"""Credentials of the database and of the broker change while a relay works; nothing is lost."""

import asyncio
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
import pytest
import structlog
from prometheus_client import CollectorRegistry

from agent.config.secret import SETTLED, Secret
from agent.config.sections.outbox import Changes, Outbox
from agent.demo import backing
from agent.demo.process import Process
from agent.outbox import brokers
from agent.outbox.metrics import Metrics
from agent.outbox.relay import Relay
from tests import databases
from tests.integration.outbox.bench import Bench
from tests.ports import free_port
from tests.waiting import until

FIRST, SECOND = "first-hunter2", "second-hunter2"


@pytest.fixture(scope="module")
def guarded_postgres(server_folder: Path) -> Iterator[backing.Postgres]:
    """One that asks everybody for a password."""
    server = backing.Postgres(
        server_folder / "guarded-postgres", settings={"fsync": "off"}, password="operator"
    )
    server.start()
    yield server
    server.stop()


class GuardedNats(Process):
    """A NATS with users, which a reload changes: who is gone is disconnected."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"nats://operator:operator@127.0.0.1:{self.port}"
        self._folder = folder
        self._file = folder / "nats.conf"
        self._reloads = 0
        folder.mkdir(parents=True)
        self._write({})
        argv = [backing.binary("nats-server"), "-c", str(self._file)]
        super().__init__("NATS", argv, folder / "nats.log", answers=lambda: backing.tcp_ok(self.port))

    def allow(self, **users: str) -> None:
        """From now on these users and no other."""
        self._write(users)
        self.terminate(signal.SIGHUP)
        self._reloads += 1

    async def reloaded(self) -> None:
        """Wait until the server took the last change."""
        await until(lambda: self.log.read_text().count("Reloaded server configuration") >= self._reloads)

    def _write(self, users: dict[str, str]) -> None:
        lines = [
            f'{{user: "{user}", password: "{word}"}}'
            for user, word in {"operator": "operator", **users}.items()
        ]
        self._file.write_text(
            f'listen: "127.0.0.1:{self.port}"\njetstream {{store_dir: "{self._folder}/store"}}\n'
            f"authorization {{users: [{', '.join(lines)}]}}\n"
        )


@pytest.fixture(scope="module")
def guarded_nats(server_folder: Path) -> Iterator[GuardedNats]:
    server = GuardedNats(server_folder / "guarded-nats")
    server.start()
    yield server
    server.stop()


class Guarded:
    """A bench on servers with passwords, and the files that its relay reads them from."""

    def __init__(self, bench: Bench, folder: Path, postgres: backing.Postgres) -> None:
        self.bench = bench
        self.folder = folder
        self.postgres = postgres
        self.role = f"relay_{bench.stream}"
        self.settings = bench.settings(changes=(Changes(table="orders"),), retention=1.0)
        self.broker_url = bench.nats_url
        self.inserted = 0
        self._enough = asyncio.Event()

    async def prepare(self) -> None:
        await self.bench.service.execute("CREATE TABLE orders (id serial PRIMARY KEY, item text)")
        await self.operate(f"CREATE ROLE {self.role} LOGIN PASSWORD '{FIRST}'")
        await self.bench.init(self.settings, role=self.role)
        self.tell_database(self.role, FIRST)
        self.tell("broker", self.broker_url)

    async def operate(self, sql: str) -> None:
        await self.bench.service.execute(sql)

    def tell_database(self, role: str, password: str) -> None:
        database = self.bench.url.rpartition("/")[2]
        self.tell("database", f"postgresql://{role}:{password}@127.0.0.1:{self.postgres.port}/{database}")

    def tell(self, what: str, value: str) -> None:
        """Replace a file as a rotation does."""
        beside = self.folder / "beside"
        beside.write_text(f"{value}\n")
        beside.replace(self.folder / what)

    async def stands_still(self, what: str) -> None:
        """Wait until the file counts."""
        file = self.folder / what
        await until(lambda: time.time() - file.stat().st_ctime > SETTLED)

    async def end_sessions(self, role: str) -> None:
        await self.operate(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[Relay]:
        """A relay as the wiring makes it, and rows that are written all the time; each has arrived at the end."""
        first = {name: (self.folder / name).read_text().strip() for name in ("database", "broker")}
        broker = msgspec.structs.replace(
            self.settings.broker, url=first["broker"], url_file=str(self.folder / "broker")
        )
        settings: Outbox = msgspec.structs.replace(
            self.settings, database=first["database"], database_file=str(self.folder / "database")
        )
        registry = CollectorRegistry()
        self.bench.registries.append(registry)
        relay = Relay(
            settings, service="shop", identity=uuid.uuid4().hex,
            url=Secret.of(settings, "outbox.database").read, broker=brokers.make(broker, "shop"),
            health=self.bench.board.of("relay"), metrics=Metrics(registry),
        )  # fmt: skip
        task, writing = asyncio.create_task(relay.run(lambda: None)), asyncio.create_task(self._write_on())
        try:
            yield relay
            self._enough.set()  # not cancelled: an INSERT on its way would be committed after the count
            await writing
            await self._everything_arrived()
        finally:
            for each in (writing, task):
                each.cancel()
                await asyncio.wait([each])

    async def _write_on(self) -> None:
        service = await self.bench.connect()
        while not self._enough.is_set():
            await service.execute("INSERT INTO orders (item) VALUES ('boot')")
            self.inserted += 1
            await asyncio.sleep(0.02)

    @property
    def word(self) -> str:
        report = self.bench.board.reports["relay"]
        return f"{report.state}: {report.detail}"

    async def goes_on(self, more: int = 30) -> None:
        """Wait until rows of now have arrived."""
        await self.bench.until_arrived(self.inserted + more)
        await until(lambda: self.word == "ok: ", within=20)

    async def epochs(self) -> int:
        """How often the feed was claimed."""
        return int(await self.bench.service.fetchval("SELECT max(epoch) FROM pillion.bucket"))

    async def _everything_arrived(self) -> None:
        """Each row of the table has its one message."""
        ids = {row["id"] for row in await self.bench.service.fetch("SELECT id FROM orders")}

        async def same() -> bool:
            return {each.data["after"]["id"] for each in await self.bench.arrived()} == ids

        await until(same, within=60, every=0.2)
        arrived = [each.data["after"]["id"] for each in await self.bench.arrived()]
        assert sorted(arrived) == sorted(ids)


@pytest.fixture
async def guarded(
    guarded_postgres: backing.Postgres, guarded_nats: GuardedNats, tmp_path: Path
) -> AsyncIterator[Guarded]:
    name = f"outbox_{uuid.uuid4().hex[:12]}"
    bench = Bench(f"{guarded_postgres.url.rpartition('/')[0]}/{name}", guarded_nats.url)
    made = Guarded(bench, tmp_path, guarded_postgres)
    async with AsyncExitStack() as stack:
        admin = await asyncpg.connect(guarded_postgres.url)
        stack.push_async_callback(admin.close)
        stack.push_async_callback(admin.execute, f"DROP ROLE IF EXISTS {made.role}")
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        stack.push_async_callback(databases.drop, admin, name)
        stack.push_async_callback(bench.close)
        await bench.open()
        await made.prepare()
        yield made


@pytest.mark.parametrize("first", ["file", "database"])
async def test_a_changed_password_leaves_sessions_and_lease_alone_and_new_sessions_have_it(
    guarded: Guarded, first: str
) -> None:
    steps = {
        "file": lambda: asyncio.to_thread(guarded.tell_database, guarded.role, SECOND),
        "database": lambda: guarded.operate(f"ALTER ROLE {guarded.role} PASSWORD '{SECOND}'"),
    }
    async with guarded.relay():
        await guarded.goes_on()
        epochs = await guarded.epochs()
        with structlog.testing.capture_logs() as logs:
            await steps.pop(first)()
            # The clean-up makes a connection of its own now and then: it is refused, and the relay goes on.
            await until(lambda: any("28P01" in str(each.get("error")) for each in logs), within=40)
            await guarded.goes_on()
            (other,) = steps.values()
            await other()
            refused = len(logs)
            await until(lambda: guarded.bench.metric("pillion_outbox_cleaned_rows_total"), within=40)
            await guarded.goes_on()
        assert not any(SECOND in str(each) or FIRST in str(each) for each in logs)
        assert refused > 0
        assert await guarded.epochs() == epochs
        await guarded.end_sessions(guarded.role)
        await until(lambda: guarded.word != "ok: ")
        await guarded.goes_on()


@pytest.mark.parametrize("first", ["file", "database"])
async def test_sessions_that_end_between_the_two_steps_of_a_rotation_come_back_after_the_second(
    guarded: Guarded, first: str
) -> None:
    async def database() -> None:
        await guarded.operate(f"ALTER ROLE {guarded.role} PASSWORD '{SECOND}'")

    async with guarded.relay():
        await guarded.goes_on()
        if first == "file":
            guarded.tell_database(guarded.role, SECOND)
            await guarded.stands_still("database")  # until then the former password is the good one
        else:
            await database()
        await guarded.end_sessions(guarded.role)
        await until(lambda: "28P01" in guarded.word)
        assert "does outbox.database(_file) hold the present user and password?" in guarded.word
        assert SECOND not in guarded.word
        if first == "file":
            await database()
        else:
            guarded.tell_database(guarded.role, SECOND)
        await guarded.goes_on()


@pytest.mark.parametrize("how", ["ended", "dropped"])
async def test_a_new_user_takes_over_when_the_former_is_revoked(guarded: Guarded, how: str) -> None:
    """As Vault's database secrets are: each lease a role of its own, which is dropped, sessions ended or not."""
    later = f"later_{guarded.bench.stream}"
    try:
        async with guarded.relay():
            await guarded.goes_on()
            await guarded.operate(f"CREATE ROLE {later} LOGIN PASSWORD '{SECOND}'")
            await guarded.bench.init(guarded.settings, role=later)
            guarded.tell_database(later, SECOND)
            await guarded.goes_on()
            await guarded.operate(f"DROP OWNED BY {guarded.role}; DROP ROLE {guarded.role}")
            if how == "ended":
                await guarded.end_sessions(guarded.role)
            await until(lambda: guarded.word != "ok: ")
            await guarded.goes_on()
            users = "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'pillion'"

            async def only_the_new() -> bool:
                # A session of the former may take a moment to end.
                found = [row["usename"] for row in await guarded.bench.service.fetch(users)]
                assert found == [later]
                return True

            await until(only_the_new, within=20)
    finally:
        await guarded.operate(f"DROP OWNED BY {later}; DROP ROLE {later}")


async def test_a_wrong_password_at_start_is_told_and_tried_again(guarded: Guarded) -> None:
    guarded.tell_database(guarded.role, "wrong-hunter2")
    async with guarded.relay():
        await until(lambda: "28P01" in guarded.word)
        assert "password authentication failed" in guarded.word
        assert "hunter2" not in guarded.word
        guarded.tell_database(guarded.role, FIRST)
        await guarded.goes_on()


@pytest.mark.parametrize("first", ["file", "server"])
async def test_changed_credentials_of_the_broker_are_used_when_the_server_ends_the_former(
    guarded: Guarded, guarded_nats: GuardedNats, first: str
) -> None:
    where = f"127.0.0.1:{guarded_nats.port}"
    guarded_nats.allow(first=FIRST)
    await guarded_nats.reloaded()
    guarded.tell("broker", f"nats://first:{FIRST}@{where}")
    async with guarded.relay():
        await guarded.goes_on()
        epochs = await guarded.epochs()
        if first == "file":
            guarded.tell("broker", f"nats://second:{SECOND}@{where}")
            await guarded.goes_on()
        guarded_nats.allow(second=SECOND)
        await until(lambda: "the broker is away, nothing is lost" in guarded.word)
        assert FIRST not in guarded.word
        assert SECOND not in guarded.word
        if first == "server":
            await until(lambda: "uthorization" in guarded.word)
            guarded.tell("broker", f"nats://second:{SECOND}@{where}")
        await guarded.goes_on()
        assert await guarded.epochs() == epochs


async def test_a_broker_s_file_that_holds_no_url_is_told_without_it_and_mended(
    guarded: Guarded, guarded_nats: GuardedNats
) -> None:
    where = f"127.0.0.1:{guarded_nats.port}"
    guarded_nats.allow(first=FIRST)
    await guarded_nats.reloaded()
    guarded.tell("broker", f"nats://first:{FIRST}@{where}")
    async with guarded.relay():
        await guarded.goes_on()
        guarded.tell("broker", f"first:{FIRST}@{where}")
        await guarded.stands_still("broker")
        guarded_nats.allow()
        await until(lambda: "outbox.broker.url is not nats://HOST:PORT" in guarded.word)
        assert FIRST not in guarded.word
        guarded_nats.allow(first=FIRST)
        guarded.tell("broker", f"nats://first:{FIRST}@{where}")
        await guarded.goes_on()
