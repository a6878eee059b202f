"""An ordinary Flask application that writes rows, in each way that psycopg and SQLAlchemy know."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import flask
import psycopg
import sqlalchemy
from psycopg import sql
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
}
OTHERS: dict[str, Callable[[], None]] = {
    "asked to be prepared": lambda: alone("INSERT INTO thing (name) VALUES (%s)", ["a"], prepare=True),
    "a trace of its own": lambda: alone("INSERT INTO thing (name) VALUES ('a') /*traceparent='theirs'*/"),
}


def copy() -> None:
    with (
        psycopg.connect(DSN) as connection,
        connection.cursor().copy("COPY thing (name) FROM STDIN") as stream,
    ):
        stream.write_row(["a"])


OTHERS["copy"] = copy


@app.post("/write/<case>")
def write(case: str) -> Any:
    {**CASES, **OTHERS}[case]()
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
