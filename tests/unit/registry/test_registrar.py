"""What the registrar tells Consul, turn by turn."""

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from agent.config.settings import Settings
from agent.model.registration import Registration, Verdict
from agent.registry.by_agent import AgentLedger
from agent.registry.metrics import Metrics
from agent.registry.registrar import Registrar
from agent.runtime.errors import PillionError, Transient
from agent.runtime.health import Board
from agent.runtime.latest import Latest

PASSING = Verdict(True, "well")
CRITICAL = Verdict(False, "unwell")


class Consul:
    """A Consul in memory that notes what it is told."""

    def __init__(self) -> None:
        self.services: dict[str, dict[str, Any]] = {}
        self.told: list[tuple[bool, str]] = []
        self.statuses: list[str] = []
        self.error: PillionError | None = None
        self.local = "10.0.0.5"
        self.member = "10.0.0.6"
        self.credentials = 0
        self.notes: list[str | None] = []
        self.synchronised = True
        """The servers have what their agent has."""

    async def authenticate(self) -> None:
        """The token is there."""

    def hold(self, held: bool) -> None:
        """Nobody gives it back here."""

    async def local_address(self) -> str:
        return self.local

    async def agent_address(self) -> str:
        return self.member

    async def service(self, instance: str) -> dict[str, Any] | None:
        if self.error:
            raise self.error
        return self.services.get(instance)

    async def listed(self, service: str, instance: str) -> bool:
        return instance in self.services and self.synchronised

    async def register(self, body: dict[str, Any]) -> None:
        self.statuses.append(body["Check"]["Status"])
        self.notes.append(body["Check"].get("Notes"))
        self.services[body["ID"]] = {**body, "Service": body["Name"]}

    async def deregister(self, instance: str) -> bool:
        return self.services.pop(instance, None) is not None

    async def tell(self, check: str, passing: bool, note: str) -> bool:
        if self.error:
            raise self.error
        known = check.removeprefix("service:") in self.services
        if known:
            self.told.append((passing, note))
        return known


class World:
    """A registrar, its Consul and a clock that stands still."""

    def __init__(self, **service: Any) -> None:
        self.now = 0.0
        self.consul = Consul()
        self.verdicts = Latest(Verdict())
        self.registration = Latest(Registration())
        self.leaving = Latest(False)
        self.board = Board(lambda: 0.0)
        document = {"service": {"name": "orders", **service}, "proxy": {"inbound": "0.0.0.0:15006"}}
        client: Any = self.consul
        settings = msgspec.convert(document, Settings)
        self.registrar = Registrar(
            AgentLedger(client, settings.registry), settings, "h", verdicts=self.verdicts,
            registration=self.registration, leaving=self.leaving, health=self.board.of("registrar"),
            metrics=Metrics(CollectorRegistry()), clock=lambda: self.now,
        )  # fmt: skip

    @property
    def registered(self) -> dict[str, Any]:
        return self.consul.services["orders-h-15006"]


async def test_until_the_gate_decided_nothing_is_told() -> None:
    world = World()
    await world.registrar.turn()
    assert world.registered["Address"] == "10.0.0.5"
    assert (world.consul.statuses, world.consul.told) == (["critical"], [])
    assert world.registration.value == Registration(True)


async def test_a_verdict_is_told_and_acknowledged_and_told_again_each_turn() -> None:
    world = World()
    world.verdicts.set(PASSING)
    assert await world.registrar.turn() == pytest.approx(10 / 3)
    assert world.registration.value == Registration(True, PASSING)
    world.verdicts.set(CRITICAL)
    await world.registrar.turn()
    await world.registrar.turn()
    assert world.consul.told == [(True, "well"), (False, "unwell"), (False, "unwell")]
    assert world.registration.value == Registration(True, CRITICAL)


async def test_a_lost_instance_comes_back_in_the_state_in_which_it_is() -> None:
    """Else a Consul that lost its data would make a well instance critical for a moment."""
    world = World()
    for verdict in (PASSING, CRITICAL):
        world.verdicts.set(verdict)
        world.consul.services.clear()
        await world.registrar.turn()
    assert world.consul.statuses == ["passing", "critical"]


async def test_what_is_as_it_should_be_is_not_written_again() -> None:
    world = World()
    await world.registrar.turn()
    world.now = 11.0
    await world.registrar.turn()
    assert len(world.consul.statuses) == 1


async def test_another_token_registers_again_at_once_and_differently_each_time() -> None:
    """Consul keeps the token of a registration and tells its servers with it; equal it would tell nothing."""
    world = World()
    for credentials in (1, 1, 2, 2):
        world.consul.credentials = credentials
        await world.registrar.turn()
    assert len(world.consul.notes) == 2
    assert None not in world.consul.notes
    assert len(set(world.consul.notes)) == 2


async def test_an_agent_that_starts_with_a_token_registers_also_what_looks_right() -> None:
    """It may have been started because of the new token."""
    world, after = World(), World()
    world.consul.credentials = 1
    await world.registrar.turn()
    after.consul.services = world.consul.services
    await after.registrar.turn()
    assert len(after.consul.statuses) == 0
    after.consul.credentials = 1
    await after.registrar.turn()
    assert len(after.consul.statuses) == 1


async def test_a_changed_address_of_the_machine_is_registered_at_the_next_look() -> None:
    world = World()
    await world.registrar.turn()
    world.consul.local = "10.0.0.7"
    await world.registrar.turn()
    assert world.registered["Address"] == "10.0.0.5"
    world.now = 11.0
    await world.registrar.turn()
    assert world.registered["Address"] == "10.0.0.7"


@pytest.mark.parametrize(
    ("local", "member", "address"),
    [
        ("10.0.0.5", "10.0.0.6", "10.0.0.5"),
        ("127.0.0.1", "10.0.0.6", "10.0.0.6"),
        ("::1", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
    ],
)
async def test_the_address_is_that_of_the_way_to_consul_or_its_agents_own(
    local: str, member: str, address: str
) -> None:
    world = World()
    world.consul.local, world.consul.member = local, member
    await world.registrar.turn()
    assert world.registered["Address"] == address


async def test_the_operators_address_wins() -> None:
    world = World(address="192.0.2.7")
    await world.registrar.turn()
    assert world.registered["Address"] == "192.0.2.7"


async def test_trouble_is_reported_and_what_was_registered_stays_so() -> None:
    world = World()
    world.verdicts.set(PASSING)
    await world.registrar.turn()
    world.consul.error = Transient("Consul is away")
    assert await world.registrar.turn() <= 0.2
    assert world.registration.value == Registration(True, PASSING, "Consul is away")
    assert world.board.reports["registrar"].detail.endswith("Consul is away")
    world.consul.error = None
    await world.registrar.turn()
    assert world.registration.value == Registration(True, PASSING)


@pytest.mark.parametrize("leaving", [True, False])
async def test_it_deregisters_only_when_the_instance_leaves(leaving: bool) -> None:
    world = World()
    ready = asyncio.Event()
    task = asyncio.create_task(world.registrar.run(ready.set))
    await ready.wait()
    await world.registration.until(lambda state: state.registered)
    world.leaving.set(leaving)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert bool(world.consul.services) is not leaving


async def test_what_the_servers_lost_although_their_agent_has_it_is_written_again_within_two_looks() -> None:
    world = World()
    world.verdicts.set(PASSING)
    await world.registrar.turn()
    world.now += 10
    await world.registrar.turn()
    world.consul.synchronised = False
    for _ in range(2):
        assert world.consul.statuses == ["passing"]
        world.now += 10
        await world.registrar.turn()
    assert world.consul.statuses == ["passing", "passing"]
    assert world.consul.notes[0] is None
    assert str(world.consul.notes[1]).startswith("registered ")


async def test_the_check_is_fed_before_a_look_that_takes_its_time_and_in_its_own_time_after_it() -> None:
    world = World()
    world.verdicts.set(PASSING)
    await world.registrar.turn()
    told: list[int] = []
    look = world.consul.service

    async def slow(instance: str) -> dict[str, Any] | None:
        told.append(len(world.consul.told))
        world.now += 4
        return await look(instance)

    world.consul.service = slow  # type: ignore[method-assign]
    world.now += 10
    assert await world.registrar.turn() == pytest.approx(0.05), "the next feed was due meanwhile"
    assert told == [2]
