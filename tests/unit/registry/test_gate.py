"""When callers may be sent here."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from agent.model.registration import Registration, ServiceHealth, Verdict
from agent.model.revision import Revision
from agent.registry.gate import LEAVING, OPEN, Gate, decide
from agent.runtime.health import Board
from agent.runtime.latest import Latest

WELL, UNWELL = ServiceHealth(True, "well"), ServiceHealth(False, "it answered 500")
SERVING = Revision("a", "a", (), connected=True)
REGISTERED = Registration(True)


class World:
    """A gate and its cells."""

    def __init__(self, patience: float = 1000.0) -> None:
        self.verdicts = Latest(Verdict())
        self.service = Latest(ServiceHealth())
        self.revision = Latest(Revision())
        self.registration = Latest(Registration())
        self.leaving = Latest(False)
        self.draining = Latest(False)
        self.board = Board(lambda: 0.0)
        self.ready = 0
        self.drained: list[Verdict] = []
        self.gate = Gate(
            verdicts=self.verdicts, service=self.service, revision=self.revision,
            registration=self.registration, leaving=self.leaving, draining=self.draining, drain=self._drain,
            health=self.board.of("gate"), patience=patience, spread=0.0, drain_within=0.2, clock=lambda: 0.0,
        )  # fmt: skip

    async def _drain(self) -> None:
        self.drained.append(self.verdicts.value)

    def be_ready(self) -> None:
        self.ready += 1

    def word(self) -> str:
        return self.board.reports["gate"].detail


async def turns() -> None:
    """Let every task that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(world: World) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(world.gate.run(world.be_ready))
    await turns()
    yield task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("service", "revision", "verdict"),
    [
        (WELL, SERVING, OPEN),
        (UNWELL, SERVING, Verdict(False, "it answered 500")),
        (WELL, Revision("a", "a"), Verdict(False, "Envoy is not connected to its agent")),
        (WELL, Revision("a", "", (), True), Verdict(False, "Envoy has not accepted any configuration yet")),
        (WELL, Revision("b", "a", (), True), OPEN),
    ],
)
def test_it_takes_a_well_service_and_an_accepted_configuration(
    service: ServiceHealth, revision: Revision, verdict: Verdict
) -> None:
    assert decide(service, revision) == verdict


async def test_it_opens_and_is_ready_when_service_envoy_and_registration_are_there_in_any_order() -> None:
    world = World()
    async with running(world):
        for cell, value in ((world.registration, REGISTERED), (world.service, WELL)):
            cell.set(value)  # type: ignore[arg-type]
            await turns()
            assert (world.ready, world.verdicts.version) == (0, 0)
        world.revision.set(SERVING)
        await turns()
        assert (world.ready, world.verdicts.value) == (1, OPEN)


async def test_it_says_what_it_waits_for() -> None:
    world = World()
    async with running(world):
        assert world.word() == "not checked yet"
        world.service.set(WELL)
        world.revision.set(SERVING)
        await turns()
        assert world.word() == "waiting for the registration in Consul"
        world.registration.set(Registration(problem="Consul is away"))
        await turns()
        assert world.word() == "Consul is away"


async def test_once_open_it_shuts_at_once_for_either_reason_and_opens_again() -> None:
    world = World()
    world.service, world.revision, world.registration = Latest(WELL), Latest(SERVING), Latest(REGISTERED)
    world.gate._service, world.gate._revision, world.gate._registration = (
        world.service, world.revision, world.registration,
    )  # fmt: skip
    async with running(world):
        world.service.set(UNWELL)
        await turns()
        assert world.verdicts.value == Verdict(False, "it answered 500")
        world.service.set(WELL)
        await turns()
        assert world.verdicts.value == OPEN
        world.revision.set(Revision())
        await turns()
        assert not world.verdicts.value.passing
        world.revision.set(SERVING)
        await turns()
        assert world.verdicts.value == OPEN
        assert world.ready == 1


async def test_a_lost_registration_does_not_shut_an_open_gate() -> None:
    """The registrar repairs it, with the verdict as it stands."""
    world = World()
    async with running(world):
        for cell, value in (
            (world.registration, REGISTERED),
            (world.service, WELL),
            (world.revision, SERVING),
        ):
            cell.set(value)  # type: ignore[arg-type]
        await turns()
        world.registration.set(Registration(problem="lost"))
        await turns()
        assert world.verdicts.value == OPEN


async def test_before_it_opened_it_is_silent_while_patient() -> None:
    """An agent that restarts must not speak against a service of which it knows nothing yet."""
    world = World(patience=1000.0)
    async with running(world):
        world.service.set(UNWELL)
        await turns()
        assert world.verdicts.version == 0


async def test_a_service_that_was_well_and_no_longer_is_ends_the_silence() -> None:
    world = World(patience=1000.0)
    async with running(world):
        world.service.set(WELL)
        await turns()
        world.service.set(UNWELL)
        await turns()
        assert world.verdicts.value == Verdict(False, "it answered 500")


async def test_its_patience_ends() -> None:
    world = World(patience=0.0)
    async with running(world):
        assert world.verdicts.value == Verdict(False, "not checked yet")


async def test_when_only_the_agent_ends_it_says_nothing_and_drains_nothing() -> None:
    world = World(patience=0.0)
    async with running(world) as task:
        version = world.verdicts.version
        task.cancel()
        await turns()
        assert task.cancelled()
    assert (world.verdicts.version, world.drained) == (version, [])


async def test_when_the_instance_leaves_it_shuts_waits_for_consul_to_take_it_and_drains() -> None:
    world = World()
    world.registration.set(REGISTERED)
    async with running(world) as task:
        world.leaving.set(True)
        task.cancel()
        await turns()
        assert world.verdicts.value == LEAVING
        assert world.drained == []
        world.registration.set(Registration(True, LEAVING))
        await asyncio.wait({task}, timeout=30)
        assert task.cancelled()
    assert world.drained == [LEAVING]


async def test_an_instance_that_consul_does_not_know_drains_without_waiting() -> None:
    world = World()
    async with running(world) as task:
        world.leaving.set(True)
        task.cancel()
        await turns()
        assert world.drained == [LEAVING]


async def test_a_drain_that_hangs_is_given_up() -> None:
    world = World()
    world.gate._drain = asyncio.Event().wait  # type: ignore[assignment]
    async with running(world) as task:
        world.leaving.set(True)
        task.cancel()
        await asyncio.wait({task}, timeout=30)
        assert task.cancelled()


async def test_an_instance_told_to_drain_turns_critical_and_stays_so() -> None:
    world = World()
    world.service.set(ServiceHealth(True, "well"))
    world.revision.set(Revision("a", "a", connected=True))
    world.registration.set(Registration(registered=True))
    async with running(world):
        assert world.verdicts.value.passing
        world.draining.set(True)
        await turns()
        assert not world.verdicts.value.passing
        world.service.set(ServiceHealth(True, "still well"))
        await turns()
        assert not world.verdicts.value.passing
        assert "drain" in world.word()
