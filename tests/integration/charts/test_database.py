"""Backup and restore as the chart's Jobs run them: their own commands and scripts against a real PostgreSQL."""

import re
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from agent.demo import backing
from tests.integration.charts.rendering import Helm, one
from tests.waiting import until

PASSWORD = "super:with\\both"
"""With the two letters that a password file has to escape."""


class Pods:
    """The chart's containers as processes: their folders are this test's, their server is on this machine."""

    def __init__(self, rendered: list[dict[str, Any]], folder: Path, server: backing.Postgres) -> None:
        self._rendered = rendered
        self._folder = folder
        self._server = server
        for name in ("secrets", "backups", "tmp"):
            (folder / name).mkdir()
        scripts = one(rendered, "ConfigMap", "infrastructure-postgres")["data"]
        for name, text in scripts.items():
            (folder / name).write_text(self._here(text))
        passwords = {"superuser": PASSWORD, "billing": "b1", "install": "i1", "relay": "r1", "backup": "k:1"}
        for name, password in passwords.items():
            (folder / "secrets" / name).write_text(password)

    def _here(self, text: str) -> str:
        for path, name in (
            ("/run/secrets/pillion", "secrets"),
            ("/backups", "backups"),
            ("/backup/postgres.sh", "postgres.sh"),
            ("/postgres/roles.sh", "roles.sh"),
            ("/tmp/pgpass", "tmp/pgpass"),
        ):
            text = text.replace(path, f"@{name}@")
        for name in ("secrets", "backups", "postgres.sh", "roles.sh", "tmp/pgpass"):
            text = text.replace(f"@{name}@", str(self._folder / name))
        return text

    def _run(self, argv: list[str], environ: dict[str, str]) -> str:
        path = f"{backing.postgres_bin()}:/usr/bin:/bin"
        local = {"PATH": path, "PGPORT": str(self._server.port), "LC_ALL": "C"}
        done = subprocess.run(argv, capture_output=True, text=True, env={**environ, **local}, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def roles(self) -> None:
        """What the first start of the server runs; over its socket there, over TCP here."""
        passfile = self._folder / "tmp" / "first"
        passfile.touch(0o600)
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        passfile.write_text(f"*:*:*:postgres:{escaped}\n")
        (container,) = one(self._rendered, "StatefulSet", "infrastructure-postgres")["spec"]["template"][
            "spec"
        ]["containers"]
        environ = {entry["name"]: entry["value"] for entry in container["env"]}
        own = {"PGHOST": "127.0.0.1", "PGPASSFILE": str(passfile)}
        self._run(["sh", str(self._folder / "roles.sh")], {**environ, **own})

    def job(self, name: str, **more: str) -> str:
        """The only container of a CronJob's pod; what it says."""
        spec = one(self._rendered, "CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        environ = {entry["name"]: self._here(entry["value"]) for entry in container["env"]}
        for key in ("PGHOST", "POSTGRES_HOST"):
            if key in environ:
                assert environ[key] == "infrastructure-postgres.somewhere.svc"
                environ[key] = "127.0.0.1"
        return self._run([self._here(word) for word in container["command"]], {**environ, **more})


@pytest.fixture
async def server(server_folder: Path, tmp_path: Path) -> AsyncIterator[backing.Postgres]:
    """A server whose superuser has the password; it was made with one that fits into a URL."""
    found = backing.Postgres(server_folder / f"chart-{tmp_path.name}", None, {"fsync": "off"}, "simple")
    found.start()
    connection = await asyncpg.connect(found.url)
    literal = await connection.fetchval("SELECT quote_literal($1::text)", PASSWORD)
    await connection.execute(f"ALTER ROLE postgres PASSWORD {literal}")
    await connection.close()
    yield found
    found.stop()


@pytest.fixture
def pods(helm: Helm, server: backing.Postgres, tmp_path: Path) -> Pods:
    values = {"postgres": {"database": "billing", "role": "billing", "backup": {"keep": 2}}}
    return Pods(helm.render("infrastructure", values), tmp_path, server)


async def _rows(server: backing.Postgres, role: str, password: str, database: str = "billing") -> list[int]:
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user=role, password=password, database=database
    )
    try:
        return [row["id"] for row in await connection.fetch("SELECT id FROM invoice ORDER BY id")]
    finally:
        await connection.close()


async def _write(server: backing.Postgres, statement: str) -> None:
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="billing", password="b1", database="billing"
    )
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_lost_table_comes_back_from_the_newest_dump_or_from_a_named_one(
    pods: Pods, server: backing.Postgres
) -> None:
    pods.roles()
    await _write(server, "CREATE TABLE invoice (id int PRIMARY KEY); INSERT INTO invoice VALUES (1)")
    first = pods.job("infrastructure-postgres-backup").split()[1].rstrip(",")
    await _write(server, "INSERT INTO invoice VALUES (2)")
    # Dumps are called by the second in which they were begun.
    await until(lambda: datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ") not in first)
    assert "billing-" in pods.job("infrastructure-postgres-backup")
    await _write(server, "DROP TABLE invoice")

    assert "billing is as it was" in pods.job("infrastructure-postgres-restore")
    assert await _rows(server, "billing", "b1") == [1, 2]
    said = pods.job("infrastructure-postgres-restore", FILE=first)
    assert first in said
    assert await _rows(server, "billing", "b1") == [1]
    aside = re.findall(r"billing_before_\d+", said)
    assert aside
    assert await _rows(server, "postgres", PASSWORD, aside[-1]) == [1, 2], "what the restore replaced"
    assert f"DROP DATABASE {aside[-1]}" in said


async def test_a_restore_ends_the_sessions_of_the_database_in_use_and_lets_new_ones_in(
    pods: Pods, server: backing.Postgres
) -> None:
    pods.roles()
    await _write(server, "CREATE TABLE invoice (id int PRIMARY KEY); INSERT INTO invoice VALUES (1)")
    pods.job("infrastructure-postgres-backup")
    session = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="billing", password="b1", database="billing"
    )
    pods.job("infrastructure-postgres-restore")
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await session.execute("INSERT INTO invoice VALUES (2)")
    assert await _rows(server, "billing", "b1") == [1]


async def test_a_database_that_is_gone_comes_back(pods: Pods, server: backing.Postgres) -> None:
    pods.roles()
    await _write(server, "CREATE TABLE invoice (id int PRIMARY KEY); INSERT INTO invoice VALUES (1)")
    pods.job("infrastructure-postgres-backup")
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="postgres", password=PASSWORD, database="postgres"
    )
    await connection.execute("DROP DATABASE billing")
    await connection.close()
    assert "_before_" not in pods.job("infrastructure-postgres-restore")
    assert await _rows(server, "billing", "b1") == [1]


async def test_a_dump_of_an_emptied_database_is_the_newest_only_when_that_is_said(
    pods: Pods, server: backing.Postgres, tmp_path: Path
) -> None:
    pods.roles()
    old = tmp_path / "backups" / "billing-20260101T000000Z.dump"
    old.write_bytes(bytes(1_000_000))
    with pytest.raises(AssertionError, match="less than half"):
        pods.job("infrastructure-postgres-backup")
    assert "backup: billing-" in pods.job("infrastructure-postgres-backup", SMALLER="yes")


async def test_only_the_newest_dumps_are_kept(pods: Pods, server: backing.Postgres, tmp_path: Path) -> None:
    pods.roles()
    for name in (
        "billing-20260101T000000Z.dump",
        "billing-20260102T000000Z.dump",
        "other-20260101T000000Z.dump",
    ):
        (tmp_path / "backups" / name).touch()
    assert "removed billing-20260101T000000Z.dump" in pods.job("infrastructure-postgres-backup")
    kept = {path.name for path in (tmp_path / "backups").glob("*.dump")}
    assert len(kept) == 3
    assert {"billing-20260102T000000Z.dump", "other-20260101T000000Z.dump"} < kept


async def test_a_new_password_of_the_superuser_fits_the_server_and_the_restore(
    pods: Pods, server: backing.Postgres, tmp_path: Path
) -> None:
    pods.roles()
    await _write(server, "CREATE TABLE invoice (id int PRIMARY KEY); INSERT INTO invoice VALUES (1)")
    pods.job("infrastructure-postgres-backup")
    (tmp_path / "secrets" / "superuser").write_text("another:one")
    pods.roles()
    assert "billing is as it was" in pods.job("infrastructure-postgres-restore")
    assert await _rows(server, "billing", "b1") == [1]
