"""Databases of tests' own on a server that several share."""

from typing import Any

import asyncpg

from tests.waiting import until


async def execute(database: str, script: str) -> None:
    """Have the database of that URL execute it."""
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


async def drop(admin: Any, name: str) -> None:
    """End all sessions of a database and drop it. PostgreSQL itself waits 5 s for those sessions, and no longer."""

    async def gone() -> bool:
        try:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        except asyncpg.ObjectInUseError as error:
            raise AssertionError(f"{error}; {error.detail}") from error
        return True

    await until(gone, within=30)
