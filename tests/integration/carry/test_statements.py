"""What PostgreSQL's triggers see of the trace in the statements of an unmodified service."""

import re
import uuid
from collections.abc import Iterator
from urllib.parse import unquote

import psycopg
import pytest
import requests

from agent.demo.backing import Postgres
from tests.integration.carry.conftest import Service, Start
from tests.integration.carry.test_through_a_service import headers

SCHEMA = """
CREATE TABLE thing (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE seen (query text NOT NULL);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO seen VALUES (current_query()); RETURN NULL; END $$;
CREATE TRIGGER see BEFORE INSERT OR UPDATE ON thing EXECUTE FUNCTION see();
"""
COMMENT = re.compile(r"/\*traceparent='([^']*)'(?:,tracestate='([^']*)')?\*/[\s;]*$")
CASES = (
    *(
        "orm",
        "orm, many rows",
        "core, many rows",
        "text",
        "driver's text",
        "no parameters",
        "empty parameters",
    ),
    *("bytes", "several statements", "common table expression", "executemany", "client-side cursor"),
    *("raw cursor", "composed", "asynchronous", "pipeline"),
    *("psycopg2", "psycopg2, values", "psycopg2, no values", "psycopg2, many", "psycopg2, bytes"),
    *("psycopg2, composed", "psycopg2, extras", "psycopg2, DictCursor", "psycopg2, RealDictCursor"),
    *("psycopg2, NamedTupleCursor", "psycopg2, orm", "psycopg2, orm, many rows"),
)
ASYNCPG = ("execute", "execute with values", "executemany", "fetch", "fetchrow from a pool", "core")
HOSTILE = (
    "a=*/; DROP TABLE thing; --",
    "a=x' OR 'y'>'x",
    'a="x"; SELECT pg_sleep(9)',
    "a=%s%(x)s%%",
    "a=/*/*",
    "a=\\'; COMMIT",
    "a/*b=c*/d",
)
"""Valid tracestates whose text would do something in a statement."""


@pytest.fixture(scope="module")
def dsn(shared_postgres: Postgres) -> str:
    """A database of this module's own, whose trigger keeps the statement that it is in."""
    name = f"carry_{uuid.uuid4().hex}"
    with psycopg.connect(shared_postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = shared_postgres.url.rpartition("/")[0] + "/" + name
    with psycopg.connect(url) as connection:
        connection.execute(SCHEMA)
    return url


@pytest.fixture(scope="module")
def service(start: Start, dsn: str) -> Service:
    """The application that writes rows."""
    return start("sync", "database", DSN=dsn)


@pytest.fixture
def database(dsn: str) -> Iterator[psycopg.Connection]:
    """A look into the database, emptied before."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE thing, seen")
        yield connection


def post(service: Service, path: str, given: dict[str, str]) -> requests.Response:
    """A request that writes."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(service.url + path, headers=given, timeout=30)
    answer.raise_for_status()
    return answer


def queries(database: psycopg.Connection) -> list[str]:
    """The statements that the trigger was in."""
    return [row[0] for row in database.execute("SELECT query FROM seen")]


@pytest.mark.parametrize("case", CASES)
def test_a_writing_statement_ends_with_its_request_s_trace(
    service: Service, database: psycopg.Connection, case: str
) -> None:
    given = headers("vendor=a1,other=x%y")
    post(service, f"/write/{case}", given)
    seen = queries(database)
    assert seen
    for query in seen:
        found = COMMENT.search(query)
        assert found, query
        assert (found[1], unquote(found[2])) == (given["traceparent"], given["tracestate"])


@pytest.mark.parametrize("case", CASES)
def test_the_rows_are_the_same_with_and_without_a_trace(
    service: Service, database: psycopg.Connection, case: str
) -> None:
    names = []
    for given in (headers("vendor=%s,other=%(x)s"), {}):
        database.execute("TRUNCATE thing")
        post(service, f"/write/{case}", given)
        names.append(sorted(row[0] for row in database.execute("SELECT name FROM thing")))
    assert names[0] == names[1]


@pytest.mark.parametrize("state", HOSTILE)
@pytest.mark.parametrize("case", ["orm", "no parameters", "client-side cursor", "psycopg2", "psycopg2, many"])
def test_a_hostile_tracestate_can_not_leave_its_comment(
    service: Service, database: psycopg.Connection, case: str, state: str
) -> None:
    given = headers(state)
    post(service, f"/write/{case}", given)
    for query in queries(database):
        found = COMMENT.search(query)
        assert found, query
        assert unquote(found[2]) == state
        assert not set("*'\"\\ ;") & set(found[2])


@pytest.fixture(scope="module")
def with_asyncpg(start: Start, dsn: str) -> Service:
    """The same application, told to trace asyncpg too."""
    return start("sync", "database", DSN=dsn, PILLION_CARRY_ASYNCPG="on")


@pytest.mark.parametrize("case", ASYNCPG)
def test_asyncpg_is_left_alone_unless_it_is_asked_for(
    service: Service, with_asyncpg: Service, database: psycopg.Connection, case: str
) -> None:
    given = headers(HOSTILE[0])
    post(service, f"/write/asyncpg, {case}", given)
    assert [query for query in queries(database) if "/*" in query] == []
    database.execute("TRUNCATE seen")
    post(with_asyncpg, f"/write/asyncpg, {case}", given)
    seen = queries(database)
    assert seen
    for query in seen:
        found = COMMENT.search(query)
        assert found, query
        assert (found[1], unquote(found[2])) == (given["traceparent"], given["tracestate"])


@pytest.mark.parametrize(
    "case",
    ["asked to be prepared", "a trace of its own", "copy", "psycopg2, copy", "server-side cursors"],
)
def test_statements_that_must_keep_their_text_keep_it(
    service: Service, database: psycopg.Connection, case: str
) -> None:
    given = headers()
    post(service, f"/write/{case}", given)
    (query,) = queries(database)
    assert given["traceparent"] not in query


def test_a_request_without_a_trace_changes_no_statement(
    service: Service, database: psycopg.Connection
) -> None:
    post(service, "/write/orm", {"x-request-id": "id-1"})
    assert [query for query in queries(database) if "/*" in query] == []


def test_reading_statements_are_still_prepared_and_writing_ones_do_not_crowd_them_out(
    service: Service, database: psycopg.Connection
) -> None:
    for _ in range(3):
        given = headers()
        prepared = post(service, "/repeat/60", given).json()["prepared"]
        assert [statement for statement in prepared if statement.startswith("SELECT thing")]
        assert [statement for statement in prepared if given["traceparent"] in statement] == []


@pytest.mark.parametrize(
    ("mode", "sampled", "found"), [("sampled", "00", False), ("sampled", "01", True), ("off", "01", False)]
)
def test_the_operator_chooses_which_traces_are_written(
    start: Start, dsn: str, database: psycopg.Connection, mode: str, sampled: str, found: bool
) -> None:
    service = start("sync", "database", DSN=dsn, PILLION_CARRY_SQL=mode)
    given = headers()
    given["traceparent"] = given["traceparent"][:-2] + sampled
    post(service, "/write/orm", given)
    assert (given["traceparent"] in queries(database)[0]) is found
