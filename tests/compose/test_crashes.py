"""Each container killed in turn under load: it comes back by itself, and only its own requests fail."""

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest

from agent.demo.traffic import Client
from tests.compose import books, layout
from tests.compose.engine import Container
from tests.compose.load import load
from tests.compose.system import ComposeSystem
from tests.record import Record
from tests.waiting import until

BOUND = 90.0
"""Seconds within which all must be well again; the report says how long each took."""


@pytest.fixture(scope="module")
def table(record: Record) -> Record:
    """The report with the table of kills begun."""
    record.table(
        "Each container killed (SIGKILL) under load: 5 + 10 + 1 requests a second",
        [
            "container",
            "well again after s",
            *(f"{route}: failed of sent (slowest s)" for route in layout.ROUTES),
        ],
    )
    return record


@pytest.mark.parametrize("service", layout.LONG_RUNNING)
async def test_a_killed_container_comes_back_and_only_what_needs_it_fails(
    system: ComposeSystem, client: Client, table: Record, service: str
) -> None:
    await system.well(client, BOUND)
    async with load(system.gateway) as counts:
        await until(lambda: counts[layout.SHOP].answered >= 10, 30)
        before = await asyncio.to_thread(system.project.containers)
        await asyncio.to_thread(system.project.crash, service)
        await until(lambda: _again(system, before, service), BOUND, every=0.3)
        await system.well(client, BOUND)
        died = (await asyncio.to_thread(system.project.container, service)).raw["State"]["FinishedAt"]
        took = (datetime.now(UTC) - datetime.fromisoformat(died)).total_seconds()
        mark = counts[layout.STOCK].answered
        await until(lambda: counts[layout.STOCK].answered >= mark + 20, 30)
    told = [f"{len(one.failures)} of {one.sent} ({one.slowest:.1f})" for one in counts.values()]
    table.row([service, f"{took:.1f}", *told])
    unexpected = {
        route: Counter(one.failures).most_common(5)
        for route, one in counts.items()
        if one.failures and route not in layout.may_fail(service)
    }
    assert unexpected == {}
    assert took < BOUND


async def test_every_order_has_its_event_and_every_event_its_order(
    system: ComposeSystem, record: Record
) -> None:
    orders = await asyncio.to_thread(books.orders, system.project)
    told = await until(lambda: _told(system, orders), 60, every=1)
    twice = sum(count - 1 for count in told.ids.values())
    record.section(
        "Outbox after all kills",
        [f"{len(orders)} orders, {len(told.created)} told as made, {twice} events twice"],
    )
    assert set(told.created) == orders
    assert max(told.ids.values()) == 1


async def _again(system: ComposeSystem, before: dict[str, Container], service: str) -> bool:
    """Whether the container has started again, and of a pod every member after the pod itself."""
    after = await asyncio.to_thread(system.project.containers)
    first = after[service].started
    return first > before[service].started and all(
        after[name].started >= first for name in layout.group_of(service)
    )


async def _told(system: ComposeSystem, orders: set[books.Order]) -> books.Events | None:
    """All events, once every order is among them."""
    told = await books.events(system.nats)
    return told if set(told.created) >= orders else None
