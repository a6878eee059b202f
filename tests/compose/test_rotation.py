"""Secrets replaced while everything runs."""

import asyncio
import io

import aiohttp
from rich.console import Console

from agent.demo import readings
from agent.demo.report import Report
from agent.demo.steps import STEPS
from agent.demo.traffic import Client
from agent.demo.walk import walk
from tests.compose.engine import Project
from tests.compose.load import load
from tests.compose.system import ComposeSystem
from tests.record import Record
from tests.waiting import until

FORMER = "FROM pg_stat_activity WHERE usename = 'orders' AND backend_start < '{since}'"
"""The service's sessions from before a moment."""


async def test_the_database_password_changes_under_load(
    system: ComposeSystem, client: Client, record: Record
) -> None:
    project, former = system.project, system.secret("postgres-orders")
    before = _starts(project)
    async with load(system.gateway) as counts:
        await asyncio.to_thread(project.once, "secrets", "rotate", "postgres-orders")
        # Sessions stay open under the former password; only new ones prove that the service has the next.
        former_sessions = FORMER.format(since=_asked(project, "SELECT now()"))
        await until(lambda: asyncio.to_thread(_ended, project, former_sessions), 60, every=0.2)
        mark = {route: count.answered for route, count in counts.items()}
        await until(lambda: all(counts[route].answered > mark[route] + 10 for route in counts), 60)
    failures = [failure for count in counts.values() for failure in count.failures]
    assert system.secret("postgres-orders") != former
    assert _lets_in(project, system.secret("postgres-orders"))
    assert not _lets_in(project, former)
    assert await _walked(system, "A model change as an event", "API versions") == []
    assert _starts(project) == before
    record.section(
        "Rotation of a password", [f"postgres-orders under load: {len(failures)} requests failed, no restart"]
    )
    assert failures == []


def _asked(project: Project, question: str) -> str:
    """What PostgreSQL answers the superuser."""
    ask = ("psql", "-U", "postgres", "-d", "shop", "-Atc", question)
    return project.execute("postgres", *ask).strip()


def _ended(project: Project, sessions: str) -> bool:
    """End those sessions that nobody uses just then; whether none is left."""
    _asked(project, f"SELECT count(pg_terminate_backend(pid)) {sessions} AND state = 'idle'")
    return _asked(project, f"SELECT count(*) {sessions}") == "0"


async def test_a_services_consul_token_changes_under_load(
    system: ComposeSystem, client: Client, record: Record
) -> None:
    project = system.project
    former, before = system.secret("consul-storefront"), _starts(project)
    assert await _taken(system, former)
    async with load(system.gateway) as counts:
        await asyncio.to_thread(project.once, "secrets", "rotate", "consul-storefront")
    failures = [failure for count in counts.values() for failure in count.failures]
    assert not await _taken(system, former)
    # These ask Consul with the storefront's token: for its registration, and for its part of the KV store.
    assert await _walked(system, "Registration", "A configuration value changed") == []
    assert _starts(project) == before
    record.section(
        "Rotation of a token", [f"consul-storefront under load: {len(failures)} requests failed, no restart"]
    )
    assert failures == []


def _starts(project: Project) -> dict[str, tuple[str, object]]:
    return {name: (one.id, one.started) for name, one in project.containers().items() if one.long_running}


async def _walked(system: ComposeSystem, *names: str) -> list[str]:
    """The named steps that fail now."""
    steps = [(name, step) for name, step in STEPS if name in names]
    assert len(steps) == len(names)
    results = await walk(system, Report(Console(file=io.StringIO())), steps)
    return [f"{name}: {seen}" for name, passed, seen in results if not passed]


async def _taken(system: ComposeSystem, token: str) -> bool:
    """Whether Consul still knows the token."""
    url = f"{system.consul}/v1/acl/token/self"
    async with aiohttp.ClientSession(headers=readings.asking(token)) as session, session.get(url) as answer:
        return answer.status == 200


def _lets_in(project: Project, password: str) -> bool:
    """Whether PostgreSQL takes the password of the orders' role over the network."""
    ask = 'psql -h "$(hostname -i | cut -d" " -f1)" -U orders -d shop -Atc "SELECT 1" 2>/dev/null; true'
    return project.execute("postgres", "sh", "-c", ask, env={"PGPASSWORD": password}).strip() == "1"
