"""No value of a captured row loses anything on its way into an event, whatever its type and the session."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config.sections.outbox import Changes, Outbox
from agent.demo import backing
from agent.outbox.database import Database
from agent.outbox.sql.install import SESSION, Installer
from tests import databases
from tests.integration.outbox.bench import Bench

TABLE = """
CREATE EXTENSION citext;
CREATE TYPE colour AS ENUM ('red', 'gr\u00fcn', 'it''s "blue"');
CREATE DOMAIN percent AS numeric(7, 4) CHECK (VALUE >= 0);
CREATE TYPE place AS (street text, "No." int, at timestamptz);
CREATE TABLE t (
    id bigint PRIMARY KEY, i bigint, n numeric, scaled numeric(40, 20), f float8, r real, b boolean, txt text,
    fixed char(5), c colour, arr text[], nums numeric[][], j json, jb jsonb, bin bytea, ts timestamptz,
    plain timestamp, d date, tt timetz, iv interval, m money, p percent, pl place, pls place[], rng numrange,
    multi tstzmultirange, ci citext, u uuid, net inet, pt point, bits bit varying, vec tsvector,
    doubled bigint GENERATED ALWAYS AS (i / 2) STORED
)"""

EXTREMES: dict[str, list[str]] = {
    "i": ["9007199254740993", "-9223372036854775808", "9223372036854775807"],
    "n": ["NaN", "Infinity", "-Infinity", "9007199254740993.000", "1e-16383", "9" * 131072, "0.00", "1E+5"],
    "scaled": ["12345678901234567890.12345678901234567891"],
    "f": ["NaN", "Infinity", "-0", "1e-320", "1.7976931348623157e308", "0.30000000000000004"],
    "r": ["3.4028235e38", "0.1", "-0"],
    "b": ["t", "f"],
    "txt": ["", "\u20ac \U0001f600 \"'\\ \t\n\x01\x7f", "null", "x" * 100000],
    "fixed": ["a", "  b"],
    "c": ["red", "gr\u00fcn", 'it\'s "blue"'],
    "arr": ["{}", '{a,NULL,"NULL","",","}'],
    "nums": ["{{1.10,2},{3,9007199254740993.5}}"],
    "j": ['{"a":1.0,"a":1e2,  "z":null}', "12345678901234567890.10", "-0"],
    "jb": ['{"a": 9007199254740993.10}'],
    "bin": ["\\x", "\\x00ff27225c"],
    "ts": ["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "294276-12-31 23:59:59.999999+00"],
    "plain": ["infinity", "2026-02-30 00:00:00".replace("30", "28"), "4713-01-01 00:00:00 BC"],
    "d": ["infinity", "0001-01-01", "5874897-12-31"],
    "tt": ["24:00:00-08", "03:04:05.000001+05:30"],
    "iv": ["-1 year 2 mons -3 days 04:05:06.000007", "178000000 years"],
    "m": ["12.50", "-92233720368547758.08"],
    "p": ["12.3400"],
    "pl": ['("a ""b""\\\\",-1,"2026-01-02 03:04:05+00")', "(,,)"],
    "pls": ['{"(a,1,)","(,,\\"2026-01-02 03:04:05+00\\")"}'],
    "rng": ["empty", "(,)", "[1.10,2)", "(,9007199254740993]"],
    "multi": ['{["2026-01-02 03:04:05+00","2026-01-03 03:04:05+00"),["2027-01-02 03:04:05+00",)}'],
    "ci": ["MiXed"],
    "u": ["0af76519-16cd-43dd-8448-eb211c80319c"],
    "net": ["2001:db8::1/64", "10.0.0.1"],
    "pt": ["(1.5,-0.30000000000000004)"],
    "bits": ["10101", ""],
    "vec": ["'a':1A,3 'it''s':2"],
}
"""Per column of ``t``, values as PostgreSQL reads them, in a session with settings of its own."""

SESSIONS: tuple[dict[str, str], ...] = (
    {},
    {"timezone": "Asia/Kathmandu", "datestyle": "SQL, DMY", "intervalstyle": "iso_8601"},
    {"timezone": "America/St_Johns", "datestyle": "German", "intervalstyle": "sql_standard"},
    {"bytea_output": "escape", "extra_float_digits": "-15"},
)

LOST = """
SELECT json_strip_nulls(o.payload->'after') AS payload FROM t JOIN pillion.outbox o ON o.key = t.id::text
WHERE json_populate_record(NULL::t, o.payload->'after') OPERATOR(pg_catalog.*<>) t"""
"""Rows that are not the same bytes again when they are read back from their event."""


def watched(url: str) -> Outbox:
    return Outbox(database=url, changes=(Changes(table="t"),))


async def prepare(url: str, ddl: str = TABLE) -> None:
    """Make the table and its triggers."""
    service = await asyncpg.connect(url)
    await service.execute(ddl)
    await service.close()
    quiet: list[str] = []
    await Installer(Database(lambda: url, settings=SESSION), watched(url), quiet.append).install(None)


TYPES = """
SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
WHERE attrelid = 't'::regclass AND attnum > 0"""

STAGED = "CREATE TEMP TABLE staged (LIKE t); ALTER TABLE staged DROP COLUMN doubled"
READ = (
    "SET datestyle = 'ISO, MDY'; SET timezone = 'UTC'; SET intervalstyle = 'postgres'; SET lc_monetary = 'C'"
)


async def write(url: str, rows: list[dict[str, str]], session: dict[str, str]) -> list[Any]:
    """Insert the rows in a session with those settings; what an event lost."""
    service = await asyncpg.connect(url)
    try:
        await service.execute(f"TRUNCATE t; TRUNCATE pillion.outbox; {STAGED}")
        types = {row["name"]: row["type"] for row in await service.fetch(TYPES)}
        for number, row in enumerate(rows):
            names = ", ".join(("id", *row))
            values = ", ".join(
                (str(number), *(f"${n}::text::{types[name]}" for n, name in enumerate(row, 1)))
            )
            # The texts are read with settings that give them one meaning; the triggers see those of the session.
            await service.execute(f"TRUNCATE staged; {READ}")
            await service.execute(f"INSERT INTO staged ({names}) VALUES ({values})", *row.values())
            for name, value in session.items():
                await service.execute(f"SET {name} = '{value}'")
            await service.execute(f"INSERT INTO t ({names}) SELECT {names} FROM staged")
            await service.execute("RESET ALL")
        await service.execute(READ)
        written = await service.fetchval("SELECT count(*) FROM pillion.outbox WHERE type = 't.created'")
        assert written == len(rows)
        return list(await service.fetch(LOST))
    finally:
        await service.close()


@pytest.fixture(scope="module")
def database(shared_postgres: backing.Postgres) -> Iterator[str]:
    """A database with the table of all types, watched."""
    name = f"values_{uuid.uuid4().hex[:12]}"

    async def admin(do: Callable[[Any], Awaitable[object]]) -> None:
        connection = await asyncpg.connect(shared_postgres.url)
        try:
            await do(connection)
        finally:
            await connection.close()

    asyncio.run(admin(lambda each: each.execute(f"CREATE DATABASE {name} TEMPLATE template0")))
    url = f"{shared_postgres.url.rpartition('/')[0]}/{name}"
    try:
        asyncio.run(prepare(url))
        yield url
    finally:
        asyncio.run(admin(lambda each: databases.drop(each, name)))


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: "-".join(session) or "plain")
def test_extreme_values_are_the_same_when_they_are_read_back(database: str, session: dict[str, str]) -> None:
    rows = [{column: value} for column, values in EXTREMES.items() for value in values]
    assert asyncio.run(write(database, [*rows, {}], session)) == []


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
NUMBER = (
    st.decimals(allow_nan=True, allow_infinity=False)
    .filter(lambda value: value.is_nan() or abs(value.adjusted()) < 1000)
    .map(lambda value: "NaN" if value.is_nan() else str(value))
)
PLAIN = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
).map(lambda value: json.dumps(value, ensure_ascii=False))
VALUES: dict[str, st.SearchStrategy[str]] = {
    "i": st.integers(-(2**63), 2**63 - 1).map(str),
    "n": NUMBER,
    "f": st.floats(width=64).map(str),
    "r": st.floats(width=32).map(str),
    "txt": TEXT,
    "ci": TEXT,
    "c": st.sampled_from(EXTREMES["c"]),
    # What no text can hold can't be in an event; null can't be told from a missing value.
    "j": JSON.filter(lambda text: "\\u0000" not in text and text != "null"),
    "bin": st.binary(max_size=40).map(lambda data: "\\x" + data.hex()),
    "ts": st.datetimes().map(lambda at: f"{at.isoformat()}+00"),
    "d": st.dates().map(str),
    "iv": st.timedeltas().map(lambda span: f"{span.days} days {span.seconds} seconds {span.microseconds} us"),
    "u": st.uuids().map(str),
    "p": st.decimals(0, 999, places=4).map(str),
}  # fmt: skip


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    rows=st.lists(
        st.fixed_dictionaries({}, optional={name: VALUES[name] for name in VALUES}), min_size=1, max_size=6
    ),
    session=st.sampled_from(SESSIONS),
)
def test_any_values_are_the_same_when_they_are_read_back(
    database: str, rows: list[dict[str, str]], session: dict[str, str]
) -> None:
    assert asyncio.run(write(database, rows, session)) == []


async def test_a_json_column_is_in_the_event_to_the_letter(bench: Bench) -> None:
    await bench.service.execute("CREATE TABLE t (id bigint PRIMARY KEY, j json)")
    await bench.init(bench.settings(changes=(Changes(table="t"),)))
    written = r'{"b":1.0,  "b":1e2, "a":"\ud83d\ude00\/"}'
    await bench.service.execute("INSERT INTO t VALUES (1, $1::text::json)", written)
    assert written in (await bench.outbox())[0]["payload"]


async def test_a_type_with_a_cast_to_json_is_written_as_that_says(bench: Bench) -> None:
    await bench.service.execute("CREATE EXTENSION hstore; CREATE TABLE t (id bigint PRIMARY KEY, h hstore)")
    await bench.init(bench.settings(changes=(Changes(table="t"),)))
    await bench.service.execute("""INSERT INTO t VALUES (1, '"a"=>"1", "b c"=>NULL')""")
    (row,) = await bench.outbox()
    assert json.loads(row["payload"])["after"] == {"id": 1, "h": {"a": "1", "b c": None}}


async def test_numbers_are_written_to_the_last_digit_in_what_arrives(bench: Bench) -> None:
    """Only a consumer that reads numbers as floats would lose some; the text has them."""
    await bench.service.execute("CREATE TABLE t (id bigint PRIMARY KEY, n numeric)")
    changes = bench.settings(changes=(Changes(table="t"),))
    await bench.init(changes)
    digits = "12345678901234567890123456789.01234567890123456789"
    await bench.service.execute(f"INSERT INTO t VALUES (9007199254740993, {digits})")
    async with bench.relay(changes):
        (arrived,) = await bench.until_arrived(1)
    after = json.loads(arrived.body, parse_float=Decimal)["after"]
    assert after == {"id": 9007199254740993, "n": Decimal(digits)}
    assert digits.encode() in arrived.body
    assert arrived.key == "9007199254740993"
