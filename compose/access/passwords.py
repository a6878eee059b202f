"""The passwords of PostgreSQL's roles. A role changes its own; no superuser is needed."""

import asyncio
import base64
import hashlib
import hmac
import os
from collections.abc import Callable

import asyncpg

from access.consumers import ROLES
from access.values import Values

ROUNDS = 4096


class RefusedError(Exception):
    """PostgreSQL did not let the role in."""


def rotate(name: str, values: Values, publish: Callable[[], None]) -> None:
    """Give the role its next password and hand it out by ``publish``. Sessions that are open go on."""
    role = ROLES[name.removeprefix("postgres-")]
    asyncio.run(_change(role, values.read(name), values.next(name)))
    publish()


def verifier(password: str, salt: bytes, rounds: int = ROUNDS) -> str:
    """What PostgreSQL keeps of a password (RFC 5803), so that the password itself is in no statement."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    first, second, third = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${rounds}:{first}${second}:{third}"


async def _change(role: str, former: str, successor: str) -> None:
    try:
        connection = await _connect(role, former)
    except asyncpg.InvalidPasswordError:
        await _changed_already(role, successor)
        return
    try:
        # The role's name is one of ours and the verifier is of base64, $ and : only.
        await connection.execute(f"ALTER ROLE {role} PASSWORD '{verifier(successor, os.urandom(16))}'")
    finally:
        await connection.close()


async def _changed_already(role: str, successor: str) -> None:
    """A rotation that was cut short has changed the role, and only the files are behind."""
    try:
        connection = await _connect(role, successor)
    except asyncpg.InvalidPasswordError:
        raise RefusedError(
            f"PostgreSQL takes neither the role {role}'s password nor the next one; "
            "set it anew: docker-compose exec postgres sh /postgres/roles.sh"
        ) from None
    await connection.close()


async def _connect(role: str, password: str) -> asyncpg.Connection:
    return await asyncpg.connect(host="postgres", user=role, password=password, database="shop", timeout=10)
