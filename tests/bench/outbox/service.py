"""The service of the bench: the table of Debezium's outbox event router, filled, or written to at a steady rate."""

import asyncio
import time
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from agent.config.sections.outbox import Broker, Outbox, Table
from agent.outbox.database import Database
from agent.outbox.sql.install import SESSION, Installer

KEYS = 250
TABLE = """
DROP TABLE IF EXISTS outbox;
DROP SCHEMA IF EXISTS pillion CASCADE;
CREATE TABLE outbox (
  id uuid NOT NULL PRIMARY KEY, aggregatetype varchar(255) NOT NULL, aggregateid varchar(255) NOT NULL,
  type varchar(255) NOT NULL, payload jsonb
)"""
INSERT = f"""
INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload)
SELECT gen_random_uuid(), CASE WHEN n / 7 % 2 = 0 THEN 'order' ELSE 'customer' END, (n / 7 % {KEYS})::text, 'Changed',
       jsonb_build_object('n', n, 'ts', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
                          'pad', repeat('x', 250))
  FROM generate_series($1::bigint, $2::bigint) AS n ORDER BY n"""
"""Rows of some 300 bytes, seven of a key one after the other."""


def settings(url: str, broker: Broker) -> Outbox:
    """What the relay is told: nothing but where things are."""
    return Outbox(
        database=url, tables=(Table(table="outbox", preset="debezium"),),
        broker=msgspec.structs.replace(broker, stream="outbox", create=True),
    )  # fmt: skip


def written(folder: Path, outbox: Outbox) -> Path:
    """The settings as an agent's file."""
    file = folder / "pillion.yaml"
    broker = {"url": outbox.broker.url, "stream": "outbox", "create": True}
    tables = [{"table": "outbox", "preset": "debezium"}]
    told = {
        "service": {"name": "bench"},
        "outbox": {"database": outbox.database, "tables": tables, "broker": broker},
    }
    file.write_bytes(msgspec.json.encode(told))
    return file


async def prepare(outbox: Outbox) -> None:
    """A fresh table that the relay may read."""
    connection = await asyncpg.connect(outbox.database)
    await connection.execute(TABLE)
    await connection.close()
    await Installer(Database(lambda: outbox.database, settings=SESSION), outbox, lambda _: None).install(None)


async def fill(url: str, rows: int, at_once: int = 1000) -> None:
    """Commit so many rows, then have the server at rest."""
    connection = await asyncpg.connect(url)
    for first in range(1, rows + 1, at_once):
        await connection.execute(INSERT, first, min(first + at_once - 1, rows))
    await connection.execute("VACUUM ANALYZE outbox")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def write(url: str, rate: int, seconds: float, at_once: int = 5) -> None:
    """Rows at a steady rate, in transactions of a few."""
    connection: Any = await asyncpg.connect(url)
    statement = await connection.prepare(INSERT)
    began = time.monotonic()
    for number in range(int(rate * seconds / at_once)):
        await asyncio.sleep(max(0.0, began + number * at_once / rate - time.monotonic()))
        await statement.fetch(number * at_once + 1, (number + 1) * at_once)
    await connection.close()
