"""Prometheus, its rules and the dashboard's questions, Alertmanager and Grafana, on the running system."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from agent import metrics
from agent.metrics import alerts
from tests.commands import run
from tests.compose.load import load
from tests.compose.standins import table
from tests.compose.system import ComposeSystem
from tests.record import Record
from tests.waiting import until

LOST = "inventory-b"
FIRES, ENDS = 120.0, 120.0
"""Seconds: a scrape, the rule's own 30 s, an evaluation and Alertmanager's grouping; then the way back."""


async def test_every_question_of_rules_and_dashboard_finds_something(
    system: ComposeSystem, record: Record
) -> None:
    questions = metrics.expressions()
    missing = dict(questions)
    async with load(system.gateway):

        async def answered() -> bool:
            for where, expression in list(missing.items()):
                if (await _ask(system, "query", query=expression))["result"]:
                    del missing[where]
            return not missing

        await _patiently(answered, 180, lambda: f"find nothing: {missing}")
    record.section("Prometheus", [f"{len(questions)} expressions of rules and dashboard find something"])


async def test_all_rules_are_loaded_and_none_fires_while_all_is_well(system: ComposeSystem) -> None:
    groups = (await _ask(system, "rules"))["groups"]
    rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert set(rules) == {rule.name for rule in alerts.ALL}
    assert {name: rule.get("lastError") for name, rule in rules.items() if rule["health"] != "ok"} == {}
    assert [name for name, rule in rules.items() if rule["state"] == "firing"] == []


async def test_prometheus_reaches_everything_that_it_is_to_watch(system: ComposeSystem) -> None:
    targets = (await _ask(system, "targets"))["activeTargets"]
    assert len(targets) >= 6
    assert {target["scrapeUrl"]: target["lastError"] for target in targets if target["health"] != "up"} == {}


async def test_a_dead_agent_raises_an_alert_that_ends_when_it_is_back(
    system: ComposeSystem, record: Record
) -> None:
    container = system.project.container(f"{LOST}-agent").id
    await asyncio.to_thread(run, "docker", "kill", container)
    try:
        began = time.monotonic()
        await _patiently(lambda: _raised(system), FIRES, lambda: "no alert reached Alertmanager")
        fired = time.monotonic() - began
    finally:
        await asyncio.to_thread(run, "docker", "start", container)
    began = time.monotonic()
    await _patiently(lambda: _over(system), ENDS, lambda: "the alert does not end")
    ended = time.monotonic() - began
    record.section(
        "Alert of a dead agent",
        [f"in Alertmanager after {fired:.0f} s", f"over {ended:.0f} s after its start"],
    )


async def test_grafana_has_the_dashboard_and_its_source(system: ComposeSystem) -> None:
    if system.project.container("grafana").raw["Config"]["Labels"].get(table.LABEL) == "placeholder":
        pytest.skip(
            "Grafana's image can't be pulled here, and its program can't be built: only a placeholder runs"
        )
    auth = aiohttp.BasicAuth("admin", system.secret("grafana-admin"))
    base = system.url("grafana", 3000)
    async with aiohttp.ClientSession(auth=auth) as session:
        async with session.get(f"{base}/api/search?type=dash-db") as answer:
            assert [found["title"] for found in await answer.json()] == ["Pillion"]
        async with session.get(f"{base}/api/datasources") as answer:
            assert [found["type"] for found in await answer.json()] == ["prometheus"]


async def _ask(system: ComposeSystem, what: str, **parameters: str) -> Any:
    """What Prometheus' API answers."""
    url = f"{system.prometheus}/api/v1/{what}"
    async with aiohttp.ClientSession() as session, session.get(url, params=parameters) as answer:
        said = await answer.json()
    assert said["status"] == "success", said
    return said["data"]


async def _raised(system: ComposeSystem) -> bool:
    """Whether Alertmanager holds the alert of the agent that was killed."""
    url = f"{system.alertmanager}/api/v2/alerts?active=true"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        held = [alert["labels"] for alert in await answer.json()]
    return any(labels["alertname"] == "PillionAgentDown" and labels["instance"] == LOST for labels in held)


async def _over(system: ComposeSystem) -> bool:
    firing = [alert["labels"]["alertname"] for alert in (await _ask(system, "alerts"))["alerts"]]
    return "PillionAgentDown" not in firing and not await _raised(system)


async def _patiently(condition: Any, within: float, wrong: Any) -> None:
    """Wait for the condition; the AssertionError says what is wrong by then."""
    try:
        await until(condition, within, every=1)
    except AssertionError as error:
        raise AssertionError(f"{wrong()} ({error})") from None
