"""The ACL token changes while everything goes on."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.model.registration import ServiceHealth
from agent.registry import client
from agent.registry.metrics import Metrics
from agent.registry.watcher import Watcher
from agent.runtime.errors import Permanent
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.acl import AclConsul
from tests.integration.registry.side import HEALTHY, Recorder, Side, ended, running, settings_of, sides
from tests.waiting import until

SICK = ServiceHealth(False, "does not answer")
UNHURRIED = 10.0
"""Seconds of a TTL that is not over when a busy machine feeds it late."""


@pytest.fixture(scope="module")
def guarded(server_folder: Path) -> Iterator[AclConsul]:
    server = AclConsul(server_folder / "acl-consul")
    try:
        server.start()
        server.prepare()
        yield server
    finally:
        server.stop()


class Rotation:
    """Who rotates: a file with the present token, and what becomes of the former one."""

    def __init__(self, consul: AclConsul, folder: Path) -> None:
        self.consul = consul
        self.file = folder / "token"
        self._folder = folder
        self.former, secret = consul.grant()
        self.write(secret)

    def write(self, secret: str) -> None:
        beside = self._folder / "beside"
        beside.write_text(f"{secret}\n")
        beside.replace(self.file)

    def rotate(self) -> None:
        """The new one is in the file before the old one is gone, and nobody waits between."""
        accessor, secret = self.consul.grant()
        self.write(secret)
        self.consul.revoke(self.former)
        self.former = accessor


@pytest.fixture
def rotation(guarded: AclConsul, tmp_path: Path) -> Rotation:
    return Rotation(guarded, tmp_path)


def settings(rotation: Rotation, **registry: Any) -> Settings:
    registry = {"token_file": str(rotation.file), "ttl": 3.0, **registry}
    return settings_of(rotation.consul.url, f"s{uuid.uuid4().hex[:12]}", registry=registry)


async def test_a_rotated_token_leaves_the_instance_passing_without_a_gap(rotation: Rotation) -> None:
    side = Side(settings(rotation, ttl=UNHURRIED))
    name, consul = side.settings.service.name, rotation.consul
    async with sides(side):
        await side.start()
        await until(lambda: consul.status(name) == ["passing"])
        async with Recorder(lambda: consul.status(name)) as states:
            for _ in range(3):
                rotation.rotate()
                repaired = repairs(side)
                await until(lambda repaired=repaired: repairs(side) > repaired)
                await until(lambda: side.detail("registrar") == "ok: ")
        assert states.seen == [["passing"]]


async def test_after_a_rotation_the_catalogue_hears_of_each_change(rotation: Rotation) -> None:
    """Consul's own agent tells its servers with the token of the registration."""
    side = Side(settings(rotation))
    name, consul = side.settings.service.name, rotation.consul
    async with sides(side):
        await side.start()
        await until(lambda: consul.status(name) == ["passing"])
        rotation.rotate()
        repaired = repairs(side)
        await until(lambda: repairs(side) > repaired)
        side.service.set(SICK)
        await until(lambda: consul.status(name) == ["critical"])
        side.service.set(HEALTHY)
        await until(lambda: consul.status(name) == ["passing"])


async def test_what_was_told_with_a_token_that_was_gone_reaches_the_catalogue(rotation: Rotation) -> None:
    """Consul forgets what its servers refused; the next registration must differ for it to be told."""
    side = Side(settings(rotation, ttl=2.0))
    name, consul = side.settings.service.name, rotation.consul
    async with sides(side):
        await side.start()
        await until(lambda: consul.status(name) == ["passing"])
        consul.revoke(rotation.former)
        await until(lambda: "403" in side.detail("registrar"))
        await until(lambda: local(consul, name) == ["critical"])  # its TTL ran out, and nobody may say so
        assert consul.status(name) == ["passing"]
        side.service.set(SICK)
        rotation.former, secret = consul.grant()
        rotation.write(secret)
        await until(lambda: consul.status(name) == ["critical"])
        side.service.set(HEALTHY)
        await until(lambda: consul.status(name) == ["passing"])


async def test_an_agent_that_is_started_anew_with_another_token_registers_with_it(rotation: Rotation) -> None:
    first = Side(settings(rotation))
    name, consul = first.settings.service.name, rotation.consul
    async with sides(first):
        await first.start()
        await until(lambda: consul.status(name) == ["passing"])
    rotation.rotate()
    second = Side(first.settings)
    async with sides(second):
        await second.start()
        second.service.set(SICK)
        await until(lambda: consul.status(name) == ["critical"])


async def test_known_instances_stay_in_use_and_changes_are_seen_with_the_new_token(
    rotation: Rotation,
) -> None:
    """A question that waits was asked with the old token: Consul refuses it at the next change."""
    other = Side(settings(rotation, ttl=UNHURRIED))
    name = other.settings.service.name
    catalog, board = Latest(Catalog()), Board(lambda: 0.0)
    async with sides(other), client.connect(other.settings.registry) as reading:
        await other.start()
        watcher = Watcher(
            reading, frozenset({name}), catalog, None, keep_last=600.0,
            health=board.of("watcher"), metrics=Metrics(CollectorRegistry()),
        )  # fmt: skip
        task = await running(watcher)
        try:
            await until(lambda: len(catalog.value.services[name].instances) == 1)
            async with Recorder(lambda: len(catalog.value.services[name].instances)) as counts:
                rotation.rotate()
                repaired = repairs(other)
                await until(lambda: repairs(other) > repaired)
                await until(lambda: other.detail("registrar") == "ok: ")
            assert counts.seen == [1]
            other.service.set(SICK)
            await until(lambda: not catalog.value.services[name].instances)
            other.service.set(HEALTHY)
            await until(lambda: len(catalog.value.services[name].instances) == 1)
        finally:
            await ended(task)


async def test_consul_does_not_refuse_a_question_that_waits_when_its_token_is_gone(
    rotation: Rotation,
) -> None:
    """What the rules of ``blocking`` rest upon."""
    side = Side(settings(rotation))
    name = side.settings.service.name
    async with sides(side), client.connect(side.settings.registry) as reading:
        await side.start()
        await until(lambda: rotation.consul.status(name) == ["passing"])  # nothing more is written of it
        index, rows = await reading.instances(name)
        assert len(rows) == 1
        rotation.consul.revoke(rotation.former)
        new, rows = await reading.instances(name, index, 0.5)
        assert (new < index, rows) == (True, [])
        with pytest.raises(Permanent, match=r"403.*ACL not found"):
            await reading.instances(name)


def repairs(side: Side) -> float:
    (metric,) = side.metrics.repairs.collect()
    return sum(sample.value for sample in metric.samples if sample.name.endswith("_total"))


def local(consul: AclConsul, name: str) -> list[str]:
    """The checks' states in Consul's own agent."""
    checks = consul.ask("/v1/agent/checks").values()
    return [check["Status"] for check in checks if check["ServiceName"] == name]
