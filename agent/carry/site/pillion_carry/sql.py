"""The trace as a comment at the end of a writing statement, in the form of sqlcommenter.

The outbox reads it from ``current_query()``; reading statements need none and keep their text, so that
statement caches stay warm.
"""

from __future__ import annotations

import os
import re
from urllib.parse import quote

from . import context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .headers import Checked

MODE = os.environ.get("PILLION_CARRY_SQL", "").strip().lower()
"""``off``, ``sampled`` or anything else for all traces."""
OFF = frozenset(("off", "0", "false", "no"))

WRITES = frozenset(("INSERT", "UPDATE", "DELETE", "MERGE", "CALL", "DO", "EXECUTE"))
WITHIN = re.compile(r"\b(?:insert|update|delete|merge)\b", re.IGNORECASE)
WORD = re.compile(r"[A-Za-z]+")


def traced(cursor: Any, query: Any, formatted: bool) -> Any:
    """The query with the running request's trace at its end, in a type that the driver takes; the same object
    when it stays as it is.

    ``formatted``: the driver will replace placeholders, so a ``%`` must be doubled.
    """
    carried = context.current()
    if carried is None:
        return query
    checked = carried.to_send()
    text = comment(checked)
    if not text or (MODE == "sampled" and not int(checked.traceparent[-2:], 16) & 1):
        return query
    return _appended(cursor, query, text.replace("%", "%%") if formatted else text)


def _appended(cursor: Any, query: Any, text: str) -> Any:
    if isinstance(query, str):
        return with_comment(query, text) if writes(query) else query
    if isinstance(query, bytes):
        decoded = query.decode("latin-1")  # any byte is kept; the words looked for are ASCII
        return with_comment(decoded, text).encode("latin-1") if writes(decoded) else query
    # Composed by the driver's own ``sql`` module: psycopg 3 or psycopg2; a template string is neither.
    rendered = getattr(query, "as_bytes", None) or getattr(query, "as_string", None)
    return _appended(cursor, rendered(cursor), text) if rendered else query


def comment(checked: Checked) -> str:
    """The comment for a trace; empty when there is none. Its only special character is ``%``."""
    if not checked.traceparent:
        return ""
    if not checked.tracestate:
        return "/*traceparent='%s'*/" % checked.traceparent
    return "/*traceparent='%s',tracestate='%s'*/" % (checked.traceparent, quote(checked.tracestate, safe=""))


def writes(statement: str) -> bool:
    """Whether the statement may change rows by itself; a function called by SELECT is not seen."""
    word = WORD.match(statement, _start(statement))
    if word is None:
        return False
    verb = word.group().upper()
    return verb in WRITES or (verb == "WITH" and WITHIN.search(statement) is not None)


def _start(statement: str) -> int:
    """Where the first word is: after blanks, opening brackets and comments."""
    at = 0
    while at < len(statement):
        if statement[at].isspace() or statement[at] == "(":
            at += 1
        elif statement.startswith("--", at):
            at = statement.find("\n", at) + 1 or len(statement)
        elif statement.startswith("/*", at):
            at = statement.find("*/", at + 2) + 2
            if at == 1:
                return len(statement)
        else:
            break
    return at


def with_comment(statement: str, text: str) -> str:
    """The statement with the comment at its end, before a closing ``;``.

    A statement that carries a trace of its own stays as it is.
    """
    body = statement.rstrip()
    if "--" in body[body.rfind("\n") + 1 :]:
        return body + "\n" + text  # the last line may be a comment up to its end
    if body.rstrip("; \n\t\r").endswith("*/") and "traceparent='" in body[body.rfind("/*") :]:
        return statement
    ended = body.rstrip("; \n\t\r")
    return ended + " " + text + (";" if len(ended) < len(body) else "")
