"""Configuration from real Consul: store, delivery, live override."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import yaml
from prometheus_client import CollectorRegistry

from agent.config import live
from agent.config.sections import store as sections
from agent.config.sections.registry import Registry
from agent.config.settings import Settings
from agent.demo import backing
from agent.model.store import Store
from agent.registry import blocking, client, environment
from agent.registry.delivery import Delivery
from agent.registry.kv import Configuration
from agent.registry.metrics import Metrics
from agent.registry.overrides import Overrides
from agent.runtime.component import Component
from agent.runtime.errors import Transient
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.integration.registry.side import call, ended, running
from tests.waiting import until

SOON = blocking.WAIT / 2
"""Seconds in which a change arrives on which a question waits: sooner than the question would end by itself."""


class Seen:
    """A service's configuration as its agent has it."""

    def __init__(self, reading: client.Client, service: str) -> None:
        self.client = reading
        self.service = service
        self.store = Latest(Store())
        self.settings = Latest(settings_of(service))
        self.board = Board(lambda: 0.0)
        self.metrics = Metrics(CollectorRegistry())
        self.acted: list[float] = []
        self.fails = 0
        self.tasks: list[asyncio.Task[None]] = []

    async def run(self, component: Component) -> None:
        self.tasks.append(await running(component))

    async def configuration(self, file: Path | None = None, patience: float = 5.0) -> None:
        health = self.board.of("configuration")
        await self.run(
            Configuration(
                self.client,
                self.service,
                self.store,
                file,
                health=health,
                metrics=self.metrics,
                patience=patience,
            )
        )

    async def delivery(self, settings: sections.Store, kept: Path | None = None, runs: bool = True) -> None:
        async def act(_before: str, _after: str) -> bool:
            if self.fails:
                self.fails -= 1
                raise Transient("the supervisor is busy")
            self.acted.append(time.monotonic())
            return True

        health = self.board.of("delivery")
        delivery = Delivery(
            self.store, settings, act, lambda: runs, kept, health=health, metrics=self.metrics
        )
        await self.run(delivery)

    async def overrides(self, file: Path | None = None) -> None:
        health = self.board.of("overrides")
        base = settings_of(self.service)
        await self.run(
            Overrides(
                self.client, base, self.settings, live.override, file, health=health, metrics=self.metrics
            )
        )

    def word(self, name: str) -> str:
        report = self.board.reports[name]
        return f"{report.state}: {report.detail}"

    def values(self) -> dict[str, bytes]:
        return {key: entry.value for key, entry in self.store.value.entries.items()}


def settings_of(service: str) -> Settings:
    return msgspec.convert({"service": {"name": service}}, Settings)


@asynccontextmanager
async def agent(consul: backing.Consul, service: str, token_file: str = "") -> AsyncIterator[Seen]:
    """Cells and a client for the components that a test starts."""
    async with client.connect(Registry(address=consul.url, token_file=token_file)) as reading:
        seen = Seen(reading, service)
        try:
            yield seen
        finally:
            for task in reversed(seen.tasks):
                await ended(task)


def unique() -> str:
    return f"s{uuid.uuid4().hex[:12]}"


def put(consul: backing.Consul, key: str, value: bytes) -> None:
    call(consul.url, f"/v1/kv/{key}", value, "PUT")


def drop(consul: backing.Consul, key: str) -> None:
    call(consul.url, f"/v1/kv/{key}?recurse=1", method="DELETE")


async def test_the_services_own_values_stand_over_shared_ones_and_changes_arrive(
    own_consul: backing.Consul,
) -> None:
    put(own_consul, "config/_shared/region", b"eu")
    put(own_consul, "config/_shared/limit", b"1")
    put(own_consul, "config/orders/limit", b"2")
    put(own_consul, "config/orders2/limit", b"other")
    async with agent(own_consul, "orders") as seen:
        await seen.configuration()
        assert seen.values() == {"region": b"eu", "limit": b"2"}
        index, value = seen.store.value.get("limit")
        assert value == b"2"
        put(own_consul, "config/orders/limit", b"3")
        await until(lambda: seen.store.value.get("limit")[1] == b"3", within=SOON)
        assert seen.store.value.get("limit")[0] != index
        drop(own_consul, "config/orders/limit")
        await until(lambda: seen.store.value.get("limit")[1] == b"1", within=SOON)
        assert seen.store.value.get("nothing") == (0, None)


async def test_a_start_without_consul_waits_its_patience_then_takes_the_values_on_disk(
    own_consul: backing.Consul, tmp_path: Path
) -> None:
    file = tmp_path / "store.json"
    put(own_consul, "config/orders/limit", b"\x00binary")
    put(own_consul, "config/_shared/region", b"eu")
    async with agent(own_consul, "orders") as seen:
        await seen.configuration(file)
        await until(file.exists)
        before = seen.store.value
    assert file.stat().st_mode & 0o777 == 0o600
    await asyncio.to_thread(own_consul.kill)
    async with agent(own_consul, "orders") as seen:
        began = time.monotonic()
        await seen.configuration(file, patience=0.5)
        assert time.monotonic() - began > 0.4
        assert seen.store.value == before
        await until(
            lambda: seen.word("configuration").startswith("degraded: the last known configuration is in use")
        )
        await asyncio.to_thread(own_consul.start)
        await until(lambda: "Consul lost config/" in seen.word("configuration"))
        assert seen.store.value == before
        put(own_consul, "config/orders/limit", b"5")
        await until(lambda: seen.store.value.get("limit")[1] == b"5")
        assert seen.store.value.get("region")[1] == b"eu"


async def test_a_change_reaches_file_and_service_at_once(
    shared_consul: backing.Consul, tmp_path: Path
) -> None:
    service, file = unique(), tmp_path / "app.env"
    put(shared_consul, f"config/{service}/feature/max-items", b"10")
    async with agent(shared_consul, service) as seen:
        await seen.configuration()
        await seen.delivery(sections.Store(file=str(file), action="signal"), runs=False)
        assert file.read_text() == "FEATURE_MAX_ITEMS=10\n"
        assert not seen.acted, "there is nobody to signal before the service runs"
    async with agent(shared_consul, service) as seen:
        await seen.configuration()
        await seen.delivery(sections.Store(file=str(file), action="signal"), tmp_path / "kept.json")
        acted = len(seen.acted)
        put(shared_consul, f"config/{service}/feature/max-items", b"it's 11\n")
        await until(lambda: len(seen.acted) == acted + 1, within=SOON)
        assert file.read_text() == "FEATURE_MAX_ITEMS='it\\'s 11\n'\n"


async def test_an_agent_that_restarts_beside_a_running_service_acts_only_upon_a_change(
    shared_consul: backing.Consul, tmp_path: Path
) -> None:
    service, file, kept = unique(), tmp_path / "app.json", tmp_path / "kept.json"
    settings = sections.Store(file=str(file), format="json", action="signal")
    put(shared_consul, f"config/{service}/limit", b"1")
    async with agent(shared_consul, service) as seen:
        await seen.configuration()
        await seen.delivery(settings, kept, runs=False)
    inode = file.stat().st_ino
    async with agent(shared_consul, service) as seen:
        await seen.configuration()
        await seen.delivery(settings, kept)
        assert (seen.acted, file.stat().st_ino) == ([], inode)
    put(shared_consul, f"config/{service}/limit", b"2")
    async with agent(shared_consul, service) as seen:
        await seen.configuration()
        await seen.delivery(settings, kept)
        assert len(seen.acted) == 1
        assert json.loads(file.read_text()) == {"limit": "2"}


async def test_a_deleted_or_malformed_value_keeps_the_last_good_file_and_is_reported(
    shared_consul: backing.Consul, tmp_path: Path
) -> None:
    service, file = unique(), tmp_path / "app.yaml"
    put(shared_consul, f"config/{service}/a", b"1")
    put(shared_consul, f"config/{service}/b", b"2")
    async with agent(shared_consul, service) as seen:
        await seen.configuration()
        await seen.delivery(sections.Store(file=str(file), format="yaml", action="restart"))
        acted = len(seen.acted)
        drop(shared_consul, f"config/{service}/a")
        await until(lambda: "a was deleted and keeps its last value" in seen.word("delivery"))
        put(shared_consul, f"config/{service}/b", b"\xff\xfe")
        await until(lambda: "b is not UTF-8 text" in seen.word("delivery"))
        assert yaml.safe_load(file.read_text()) == {"a": "1", "b": "2"}
        assert len(seen.acted) == acted, "nothing changed for the service"
        assert seen.metrics.refused._value.get() == 2
        put(shared_consul, f"config/{service}/a", b"3")
        put(shared_consul, f"config/{service}/b", b"4")
        await until(lambda: yaml.safe_load(file.read_text()) == {"a": "3", "b": "4"})
        await until(lambda: seen.word("delivery") == "ok: ")


async def test_an_action_that_fails_is_tried_again(shared_consul: backing.Consul, tmp_path: Path) -> None:
    service = unique()
    async with agent(shared_consul, service) as seen:
        await seen.configuration()
        await seen.delivery(sections.Store(action="restart"))
        seen.fails = 2
        put(shared_consul, f"config/{service}/a", b"1")
        await until(lambda: "the supervisor is busy" in seen.word("delivery"))
        await until(lambda: len(seen.acted) == 1)
        await until(lambda: seen.word("delivery") == "ok: ")


async def test_values_become_environment_from_real_keys(shared_consul: backing.Consul) -> None:
    service = unique()
    for key, value in {
        "db/pool-size": b"5",
        "path": b"/evil",
        "PYTHONPATH": b"/evil",
        "greeting.text": b"hi",
    }.items():
        put(shared_consul, f"config/{service}/{key}", value)
    async with agent(shared_consul, service) as seen:
        await seen.configuration()
        made = environment.environment(seen.store.value, {"GREETING_TEXT": "the operator's"})
    assert made.variables.items() >= {"DB_POOL_SIZE": "5"}.items()
    assert "GREETING_TEXT" not in made.variables
    assert {refused.key for refused in made.refused} >= {"path", "PYTHONPATH"}


async def test_a_live_override_applies_a_bad_one_is_refused_and_its_removal_restores(
    shared_consul: backing.Consul, tmp_path: Path
) -> None:
    service, file = unique(), tmp_path / "override"
    async with agent(shared_consul, service) as seen:
        await seen.overrides(file)
        put(shared_consul, f"pillion/{service}", b"traffic: {retries: 7}")
        await until(lambda: seen.settings.value.traffic.retries == 7, within=SOON)
        put(shared_consul, f"pillion/{service}", b"traffic: {retries: lots}")
        await until(lambda: "is refused, the former stays" in seen.word("overrides"))
        assert seen.settings.value.traffic.retries == 7
    async with agent(shared_consul, service) as seen:
        await seen.overrides(file)
        assert seen.settings.value.traffic.retries == 7, (
            "an agent that restarts goes on with the last good override"
        )
        await until(lambda: "is refused" in seen.word("overrides"))
        drop(shared_consul, f"pillion/{service}")
        await until(lambda: seen.settings.value == settings_of(service), within=SOON)
        await until(lambda: seen.word("overrides") == "ok: ")
        assert not file.exists()


async def test_an_override_that_consul_lost_stays(own_consul: backing.Consul) -> None:
    async with agent(own_consul, "orders") as seen:
        await seen.overrides()
        put(own_consul, "pillion/orders", b"traffic: {retries: 7}")
        await until(lambda: seen.settings.value.traffic.retries == 7)
        await asyncio.to_thread(own_consul.kill)
        await asyncio.to_thread(own_consul.start)
        await until(lambda: "Consul lost the override" in seen.word("overrides"))
        assert seen.settings.value.traffic.retries == 7
