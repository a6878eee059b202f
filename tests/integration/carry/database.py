"""An ordinary Flask application that writes rows, in each way that psycopg and SQLAlchemy know."""

import asyncio
import io
import os
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import flask
import psycopg
import psycopg2
import psycopg2.extras
import psycopg2.sql
import sqlalchemy
from psycopg import sql
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = flask.Flask(__name__)
DSN = os.environ["DSN"]
engine = sqlalchemy.create_engine(
    DSN.replace("postgresql:", "postgresql+psycopg:"), pool_size=1, max_overflow=0
)


class Base(DeclarativeBase):
    """The models' base."""


class Thing(Base):
    """One row."""

    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def orm() -> None:
    with Session(engine) as session:
        session.add(Thing(name="100% sure"))
        session.commit()


def orm_many() -> None:
    with Session(engine) as session:
        session.add_all([Thing(name=f"{number}%") for number in range(50)])
        session.commit()


def orm_bulk() -> None:
    with engine.begin() as connection:
        connection.execute(sqlalchemy.insert(Thing), [{"name": f"{number}%s"} for number in range(3)])


def core_text() -> None:
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text("INSERT INTO thing (name) VALUES ('a%b' || :name); "), {"name": "%(x)s"}
        )


def driver_text() -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO thing (name) VALUES ('50%%') -- half")


def alone(statement: Any, params: Any = None, **options: Any) -> None:
    with psycopg.connect(DSN) as connection:
        connection.execute(statement, params, **options)


def many() -> None:
    with psycopg.connect(DSN) as connection:
        connection.cursor().executemany("INSERT INTO thing (name) VALUES ('%%' || %s)", [("a",), ("b",)])


def client_side() -> None:
    with psycopg.connect(DSN, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("INSERT INTO thing (name) VALUES (%s)", ["/*traceparent='forged'*/"])


def raw() -> None:
    with psycopg.connect(DSN, cursor_factory=psycopg.RawCursor) as connection:
        connection.execute("INSERT INTO thing (name) VALUES ($1)", ["a"])


def composed() -> None:
    query = sql.SQL("INSERT INTO {} (name) VALUES ({})").format(sql.Identifier("thing"), sql.Placeholder())
    alone(query, ["a"])


def asynchronous() -> None:
    async def write() -> None:
        async with await psycopg.AsyncConnection.connect(DSN) as connection:
            await connection.execute("INSERT INTO thing (name) VALUES (%(name)s)", {"name": "a"})

    asyncio.run(write())


def pipeline() -> None:
    with psycopg.connect(DSN) as connection, connection.pipeline():
        for name in ("a", "b"):
            connection.execute("INSERT INTO thing (name) VALUES (%s)", [name])


def by_psycopg2(statement: Any, params: Any = None, *, many: bool = False, **options: Any) -> None:
    connection = psycopg2.connect(DSN)
    try:
        with connection, connection.cursor(**options) as cursor:
            if many:
                cursor.executemany(statement, params)
            elif params is None:
                cursor.execute(statement)
            else:
                cursor.execute(statement, params)
    finally:
        connection.close()


def values_of_psycopg2() -> None:
    connection = psycopg2.connect(DSN)
    try:
        with connection, connection.cursor() as cursor:
            rows = [("a%",), ("b",)]
            psycopg2.extras.execute_values(cursor, "INSERT INTO thing (name) VALUES %s", rows)
            psycopg2.extras.execute_batch(cursor, "INSERT INTO thing (name) VALUES (%s)", rows)
    finally:
        connection.close()


def orm_of_psycopg2(names: tuple[str, ...]) -> None:
    engine = sqlalchemy.create_engine(DSN.replace("postgresql:", "postgresql+psycopg2:"))
    with Session(engine) as session:
        session.add_all([Thing(name=name) for name in names])
        session.commit()
    engine.dispose()


def by_asyncpg(work: Callable[[Any], Awaitable[Any]], *, pooled: bool = False) -> None:
    async def write() -> None:
        if pooled:
            async with asyncpg.create_pool(DSN, min_size=1) as pool, pool.acquire() as connection:
                await work(connection)
            return
        connection = await asyncpg.connect(DSN)
        try:
            await work(connection)
        finally:
            await connection.close()

    asyncio.run(write())


def core_of_asyncpg() -> None:
    async def write() -> None:
        engine = create_async_engine(DSN.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.begin() as connection:
            await connection.execute(sqlalchemy.insert(Thing), {"name": "100%"})
            await connection.execute(sqlalchemy.insert(Thing), [{"name": "a"}, {"name": "b"}])
        await engine.dispose()

    asyncio.run(write())


INTO = "INSERT INTO thing (name) VALUES ($1)"
ASYNCPG: dict[str, Callable[[], None]] = {
    "execute": lambda: by_asyncpg(lambda c: c.execute("INSERT INTO thing (name) VALUES ('50%')")),
    "execute with values": lambda: by_asyncpg(lambda c: c.execute(INTO, "a")),
    "executemany": lambda: by_asyncpg(lambda c: c.executemany(INTO, [("a",), ("b",)])),
    "fetch": lambda: by_asyncpg(lambda c: c.fetch(INTO + " RETURNING id", "a")),
    "fetchrow from a pool": lambda: by_asyncpg(
        lambda c: c.fetchrow(INTO + " RETURNING id", "a"), pooled=True
    ),
    "core": core_of_asyncpg,
}
CASES: dict[str, Callable[[], None]] = {
    "orm": orm,
    "orm, many rows": orm_many,
    "core, many rows": orm_bulk,
    "text": core_text,
    "driver's text": driver_text,
    "no parameters": lambda: alone("INSERT INTO thing (name) VALUES ('%s')"),
    "empty parameters": lambda: alone("INSERT INTO thing (name) VALUES ('%%s')", ()),
    "bytes": lambda: alone("INSERT INTO thing (name) VALUES ('é')".encode()),
    "several statements": lambda: alone("DELETE FROM thing; INSERT INTO thing (name) VALUES ('a');"),
    "common table expression": lambda: alone(
        "WITH new AS (SELECT 'a' AS n) INSERT INTO thing (name) SELECT n FROM new"
    ),
    "executemany": many,
    "client-side cursor": client_side,
    "raw cursor": raw,
    "composed": composed,
    "asynchronous": asynchronous,
    "pipeline": pipeline,
    "psycopg2": lambda: by_psycopg2("INSERT INTO thing (name) VALUES ('50%')"),
    "psycopg2, values": lambda: by_psycopg2("INSERT INTO thing (name) VALUES (%(name)s)", {"name": "%s"}),
    "psycopg2, no values": lambda: by_psycopg2("INSERT INTO thing (name) VALUES ('%%s')", ()),
    "psycopg2, many": lambda: by_psycopg2(
        "INSERT INTO thing (name) VALUES (%s)", [("a",), ("b",)], many=True
    ),
    "psycopg2, bytes": lambda: by_psycopg2("INSERT INTO thing (name) VALUES ('é')".encode()),
    "psycopg2, composed": lambda: by_psycopg2(
        psycopg2.sql.SQL("INSERT INTO {} (name) VALUES (%s)").format(psycopg2.sql.Identifier("thing")), ["a"]
    ),
    "psycopg2, extras": values_of_psycopg2,
    **{
        f"psycopg2, {kind}": lambda kind=kind: by_psycopg2(
            "INSERT INTO thing (name) VALUES (%s) RETURNING id",
            ["a"],
            cursor_factory=getattr(psycopg2.extras, kind),
        )
        for kind in ("DictCursor", "RealDictCursor", "NamedTupleCursor")
    },
    "psycopg2, orm": lambda: orm_of_psycopg2(("100% sure",)),
    "psycopg2, orm, many rows": lambda: orm_of_psycopg2(tuple(f"{number}%" for number in range(50))),
}
OTHERS: dict[str, Callable[[], None]] = {
    "asked to be prepared": lambda: alone("INSERT INTO thing (name) VALUES (%s)", ["a"], prepare=True),
    "a trace of its own": lambda: alone("INSERT INTO thing (name) VALUES ('a') /*traceparent='theirs'*/"),
}


def copy_of_psycopg2() -> None:
    connection = psycopg2.connect(DSN)
    with connection, connection.cursor() as cursor:
        cursor.copy_from(io.StringIO("a\n"), "thing", columns=("name",))
    connection.close()


def server_side() -> None:
    """Cursors on the server, of both drivers, that read what a statement before them wrote."""
    alone("INSERT INTO thing (name) VALUES ('a') /*traceparent='theirs'*/")
    with psycopg.connect(DSN) as connection, connection.cursor("mine") as cursor:
        assert len(cursor.execute("SELECT * FROM thing").fetchall()) > 0
    other = psycopg2.connect(DSN)
    with other, other.cursor("mine") as cursor:
        cursor.execute("SELECT * FROM thing")
        assert len(cursor.fetchall()) > 0
    other.close()


OTHERS["server-side cursors"] = server_side
OTHERS["psycopg2, copy"] = copy_of_psycopg2


def copy() -> None:
    with (
        psycopg.connect(DSN) as connection,
        connection.cursor().copy("COPY thing (name) FROM STDIN") as stream,
    ):
        stream.write_row(["a"])


OTHERS["copy"] = copy


@app.post("/write/<case>")
def write(case: str) -> Any:
    {**CASES, **OTHERS, **{f"asyncpg, {name}": work for name, work in ASYNCPG.items()}}[case]()
    return {}


@app.post("/repeat/<int:times>")
def repeat(times: int) -> Any:
    """Write and read often on one connection; answers with what it has prepared at the end."""
    with engine.begin() as connection:
        for number in range(times):
            connection.execute(sqlalchemy.insert(Thing), {"name": str(number)})
            connection.execute(sqlalchemy.select(Thing).where(Thing.id == number)).all()
        prepared = connection.exec_driver_sql("SELECT statement FROM pg_prepared_statements").scalars().all()
    return {"prepared": list(prepared)}
