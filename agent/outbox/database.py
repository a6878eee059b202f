"""The connection to the service's PostgreSQL: the only module that knows the driver, and where its errors
are translated."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from agent.runtime.errors import Permanent, PillionError, Transient
from agent.runtime.words import words

Row = Mapping[str, Any]
"""One row of a result, by column."""

NAME = "pillion"
"""``application_name`` of every connection."""

OLDEST = 140000
"""The least ``server_version_num`` that has all that is used."""

PINNED = {
    "application_name": NAME,
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "search_path": "pg_catalog, pg_temp",
    # What is read after a lock was waited for must be what is there then.
    "default_transaction_isolation": "read committed",
    # A generic plan reads the whole index on every idle poll.
    "plan_cache_mode": "force_custom_plan",
    # Row security would hide rows without a word; off, it is an error.
    "row_security": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # A standby that is away must not hold up the relay; what is on this server's disk is enough for its own
    # state.
    "synchronous_commit": "local",
    "idle_in_transaction_session_timeout": "60000",
    "lock_timeout": "2000",
    "statement_timeout": "30000",
}
"""What a relay's session relies on, whatever the role's or the database's own settings are."""

SILENCE = (
    (socket.TCP_KEEPIDLE, 10),
    (socket.TCP_KEEPINTVL, 5),
    (socket.TCP_KEEPCNT, 4),
    (socket.TCP_USER_TIMEOUT, 30000),
)
"""Options of a connection over TCP: one that leads nowhere any more is gone after half a minute. An answer is waited
for without a bound, so else a relay would beat on its other connection, and publish nothing, for ever."""

# A server that is starting, stopping, failing over, out of something, or whose table is locked now.
_PASSING = ("08", "25", "40", "53", "55", "57", "58")

_EXHAUSTED = "53200"

_NOT_THERE = "; run `pillion outbox init`"
_HINTS = {
    **dict.fromkeys(("3F000", "42P01", "42703", "42883"), _NOT_THERE),
    "42501": "; grant what `pillion outbox sql --role` prints",
}

# Who changes a password does so in two places, one after the other.
_IDENTITY = "28"


# A value that can't be written as text, is larger as text than PostgreSQL's memory, or is damaged; a cast of the
# service's that raises.
_UNREADABLE = ("22", "54", "P0", "XX001")

# Of what PostgreSQL calls an internal error: a value of many megabytes, as a pattern is looked for in it. These words
# are in no catalogue of translations.
_TOO_LARGE = "invalid memory alloc request size"


class UnreadableError(Permanent):
    """Something in the rows can't be read; ``why`` shows none of it."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


class ExhaustedError(Transient):
    """The server was out of memory, as it is over a single row that is larger than what it may have; ``why`` shows
    none of it."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


class LockedError(Transient):
    """A lock was not had in time."""


class Connection:
    """One connection; not to be used by two tasks at once except through ``fetch`` and ``execute``, which
    take turns."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._turn = asyncio.Lock()

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone."""
        return bool(self._driver.is_closed())

    async def fetch(self, doing: str, sql: str, *arguments: Any) -> list[Row]:
        """All rows of a statement. ``doing`` says in an error what was being done."""
        async with self._turn:
            with translated(doing):
                rows: list[Row] = await self._driver.fetch(sql, *arguments)
                return rows

    async def value(self, doing: str, sql: str, *arguments: Any) -> Any:
        """The first column of the first row, None without one."""
        rows = await self.fetch(doing, sql, *arguments)
        return next(iter(rows[0].values())) if rows else None

    async def execute(self, doing: str, sql: str, *arguments: Any) -> str:
        """Run a statement, without arguments also several; its command tag, such as ``DELETE 5``."""
        async with self._turn:
            with translated(doing):
                tag: str = await self._driver.execute(sql, *arguments)
                return tag

    @asynccontextmanager
    async def transaction(self, doing: str) -> AsyncIterator[None]:
        """A transaction around the body; the body's statements still take turns with other tasks', so give
        it a connection."""
        with translated(doing):
            async with self._driver.transaction():
                yield

    @asynccontextmanager
    async def pages(self, doing: str, sql: str, *arguments: Any) -> AsyncIterator["Portal"]:
        """A statement whose rows are taken in portions, all from one snapshot."""
        async with self._turn:
            with translated(doing):
                async with self._driver.transaction(readonly=True):
                    yield Portal(await self._driver.cursor(sql, *arguments))

    def abandon(self) -> None:
        """Drop the connection without a word; the server ends what it was doing."""
        self._driver.terminate()


class Portal:
    """An open result."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    async def take(self, count: int) -> list[Row]:
        """The next rows, fewer than ``count`` only at the end."""
        rows: list[Row] = await self._cursor.fetch(count)
        return rows


class Database:
    """Makes connections. ``url`` is asked each time, so that a changed password file counts; it is never
    shown."""

    def __init__(
        self, url: Callable[[], str], timeout: float = 10.0, settings: Mapping[str, str] | None = None
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._settings = {**PINNED, **(settings or {})}

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for the body, closed after it. Raises Transient or Permanent."""
        driver = await self._connect("connecting to the service's PostgreSQL")
        try:
            yield Connection(driver)
        finally:
            await _close(driver)

    async def _connect(self, doing: str) -> Any:
        with translated(doing):
            try:
                driver = await asyncpg.connect(
                    self._url(), timeout=self._timeout, server_settings=self._settings
                )
            except (ValueError, asyncpg.ClientConfigurationError):
                # The driver's words may hold parts of the URL, and with them the password.
                raise Permanent(
                    f"{doing}: outbox.database is not a postgresql:// URL that can be used"
                ) from None
            _watched(driver)
            return driver


def _watched(driver: Any) -> None:
    # The driver has no public way to its socket.
    connected = driver._transport.get_extra_info("socket")  # noqa: SLF001
    if connected is not None and connected.family != socket.AF_UNIX:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in SILENCE:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)


async def _close(driver: Any) -> None:
    try:
        await driver.close(timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        driver.terminate()
    except asyncio.CancelledError:
        driver.terminate()
        raise


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the driver's errors into ours. PostgreSQL's ``DETAIL`` may show a row, so only its message is
    kept."""
    try:
        yield
    except PillionError:
        raise
    except asyncpg.LockNotAvailableError as error:
        raise LockedError(f"{doing}: {error.message}") from error
    except asyncpg.PostgresError as error:
        raise _translate(doing, error) from error
    except (OSError, TimeoutError, asyncpg.InternalClientError) as error:
        raise Transient(f"{doing}: {words(error)}; is the server up and its address right?") from error
    except asyncpg.InterfaceError as error:
        raise Transient(f"{doing}: {error}") from error
    except UnicodeDecodeError as error:
        # Its words show the bytes.
        raise UnreadableError(f"{doing}: a text is not UTF-8", "a text of it is not UTF-8") from error


def _translate(doing: str, error: Any) -> PillionError:
    state = str(error.sqlstate or "")
    text = f"{doing}: PostgreSQL says: {error.message or error} ({state})"
    if state == _EXHAUSTED:
        return ExhaustedError(text, f"PostgreSQL runs out of memory over it ({state})")
    if state.startswith(_PASSING):
        return Transient(text)
    if state.startswith(_UNREADABLE) or _TOO_LARGE in str(error.message):
        return UnreadableError(text, f"PostgreSQL can't give it as text ({state})")
    if state.startswith(_IDENTITY):
        return Transient(f"{text}; does outbox.database(_file) hold the present user and password?")
    return Permanent(f"{text}{_HINTS.get(state, '')}")
