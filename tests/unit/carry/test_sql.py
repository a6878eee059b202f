"""The trace as a comment in a statement."""

import pytest

from tests.unit.carry.conftest import Hook
from tests.unit.carry.test_headers import PARENT

MARK = "/*mark*/"


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t VALUES (1)",
        "  update t set a = 1",
        "delete from t",
        "-- why\nMERGE INTO t",
        "/* app */ INSERT INTO t",
        "/*a*//*b*/(INSERT",
        "WITH x AS (INSERT INTO t VALUES (1)) SELECT 1",
        "CALL work()",
        "DO $$begin end$$",
        "execute p(1)",
    ],
)
def test_a_writing_statement_is_known_by_its_first_word(hook: Hook, statement: str) -> None:
    assert hook.sql.writes(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "SELECT 1",
        "WITH x AS (SELECT 1) SELECT 1",
        "COPY t FROM STDIN",
        "-- INSERT",
        "/* INSERT",
        "BEGIN",
        "INSERTED",
        "--",
        "1",
    ],
)
def test_other_statements_keep_their_text(hook: Hook, statement: str) -> None:
    assert not hook.sql.writes(statement)


@pytest.mark.parametrize(
    ("statement", "marked"),
    [
        ("DELETE FROM t", f"DELETE FROM t {MARK}"),
        ("DELETE FROM t;", f"DELETE FROM t {MARK};"),
        ("DELETE FROM t ; \n", f"DELETE FROM t {MARK};"),
        ("DELETE FROM t -- all;", f"DELETE FROM t -- all;\n{MARK}"),
        ("DELETE FROM t -- all\nWHERE a", f"DELETE FROM t -- all\nWHERE a {MARK}"),
        ("DELETE FROM t WHERE a = ';'", f"DELETE FROM t WHERE a = ';' {MARK}"),
        ("DELETE FROM t /* theirs */", f"DELETE FROM t /* theirs */ {MARK}"),
        ("DELETE FROM t /*a='1',traceparent='00-1'*/;", "DELETE FROM t /*a='1',traceparent='00-1'*/;"),
        (
            "INSERT INTO t VALUES ('/*traceparent=''x''*/')",
            f"INSERT INTO t VALUES ('/*traceparent=''x''*/') {MARK}",
        ),
    ],
)
def test_the_comment_stands_at_the_end_and_a_foreign_trace_stays(
    hook: Hook, statement: str, marked: str
) -> None:
    assert hook.sql.with_comment(statement, MARK) == marked


def test_a_state_is_written_so_that_it_can_not_end_the_comment(hook: Hook) -> None:
    checked = hook.headers.check(PARENT, "a=*/x,b='; --", "", "")
    assert (
        hook.sql.comment(checked) == f"/*traceparent='{PARENT}',tracestate='a%3D%2A%2Fx%2Cb%3D%27%3B%20--'*/"
    )


def test_without_a_trace_there_is_no_comment(hook: Hook) -> None:
    assert hook.sql.comment(hook.headers.check("", "a=1", "b=1", "id")) == ""
