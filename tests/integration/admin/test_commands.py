"""The commands that read a running agent."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from click.testing import CliRunner

from agent.admin.server import Admin
from agent.admin.sources import Sources
from agent.cli import reach, wait
from agent.demo.backing import free_port
from agent.model.address import Address
from agent.model.review import Review
from agent.runtime.errors import Transient
from agent.runtime.latest import Latest
from tests.integration.admin import lively
from tests.integration.registry.side import ended
from tests.integration.registry.side import running as started
from tests.unit.admin.examples import sources
from tests.waiting import until


async def pillion(*arguments: str) -> tuple[int, str, str]:
    """Run a command: exit status, standard output and error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def running(given: Sources) -> AsyncIterator[str]:
    """The API of these sources; yields its address."""
    address = Address("127.0.0.1", free_port())
    task = await started(Admin(given, address))
    try:
        yield str(address)
    finally:
        await ended(task)


async def test_status_shows_the_agent_readably_and_as_json() -> None:
    async with running(sources(ready=False)) as address:
        code, out, _ = await pillion("status", "--address", address)
        assert code == 0
        assert "orders-1: not ready" in out
        assert "The service does not answer." in out
        assert "127.0.0.1:9000" in out
        code, out, _ = await pillion("status", "--json", "--admin-listen", address)
        assert (code, json.loads(out)["agent"]["instance"]) == (0, "orders-1")


async def test_status_tells_circuits_lag_changes_and_slow_operations_and_no_control_character(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    world = lively.World()
    given = await lively.instance(world)
    world.journal.add("live settings", "refused", lively.HOSTILE)
    async with running(given) as address:
        code, out, _ = await pillion("status", "--address", address)
    assert code == 0
    for part in (
        "open: requests",
        "10.0.3.7:21002 left out",
        "14 s",
        "GREETING",
        "calls to inventory",
        "up to 2.5 s",
    ):
        assert part in " ".join(out.split()), part
    assert "\x1b" not in out
    assert "\u202e" not in out


async def test_without_an_agent_there_is_a_sentence_and_exit_status_1() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    for command in (["status"], ["wait", "--timeout", "0.3"], ["drain"]):
        code, out, err = await pillion(*command, "--address", nowhere)
        assert (code, out) == (1, "")
        assert f"no agent answers at {nowhere}" in err
        assert "Traceback" not in err


async def test_wait_ends_when_the_agent_is_ready_and_fails_with_its_reasons_when_it_is_not() -> None:
    reasons, looks = ["It starts."], []

    def ready() -> tuple[bool, tuple[str, ...]]:
        looks.append(len(reasons))
        return not reasons, tuple(reasons)

    async with running(Sources(**{**vars(sources()), "ready": ready})) as address:
        code, _, err = await pillion("wait", "--timeout", "5", "--address", address)
        assert code == 1
        assert "It starts." in err
        looks.clear()
        task = asyncio.create_task(pillion("wait", "--timeout", "100", "--address", address))
        await until(lambda: len(looks) >= 2)
        assert not task.done()
        reasons.clear()
        assert (await task)[0] == 0


def test_also_the_last_look_of_wait_has_time_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would say that none answers of an agent that told its reasons before."""
    given: list[float] = []

    def call(_where: Address, _path: str, *, timeout: float) -> None:
        given.append(timeout)
        raise Transient("no agent answers")

    monkeypatch.setattr(reach, "call", call)
    done = CliRunner().invoke(wait.command, ["--timeout", "0.5", "--address", "127.0.0.1:1"])
    assert isinstance(done.exception, Transient), done.output
    assert given
    assert min(given) >= 1.0


async def test_wait_tells_also_what_an_agent_said_before_it_answered_no_more() -> None:
    looks: list[bool] = []

    def ready() -> tuple[bool, tuple[str, ...]]:
        looks.append(True)
        return False, ("It starts.",)

    async with running(Sources(**{**vars(sources()), "ready": ready})) as address:
        task = asyncio.create_task(pillion("wait", "--timeout", "10", "--address", address))
        await until(lambda: len(looks) >= 2)  # so the first answer has come
    code, _, err = await task
    assert code == 1
    assert f"no agent answers at {address}" in err
    assert "Before, it said: It starts." in err


async def test_drain_waits_unless_it_is_only_to_begin() -> None:
    asked = []

    async def drain(wait: bool) -> bool:
        asked.append(wait)
        return wait

    async with running(sources(drain=drain)) as address:
        assert (await pillion("drain", "--address", address))[0] == 0
        assert (await pillion("drain", "--begin", "--address", address))[0] == 0
    assert asked == [True, False]


async def test_drain_fails_when_requests_are_still_in_flight() -> None:
    async def drain(_: bool) -> bool:
        return False

    async with running(sources(drain=drain)) as address:
        code, _, err = await pillion("drain", "--address", address)
    assert code == 1
    assert "still in flight" in err


async def test_the_terminal_is_safe_from_what_others_wrote() -> None:
    async with running(sources(service="\x1b[31mred")) as address:
        _, out, _ = await pillion("status", "--address", address)
    assert "\x1b" not in out


async def test_status_shows_what_others_registered_wrongly() -> None:
    review = Review(("The \x1b instance is left out.",), 3, ("Both a and b ask for /x: a gets it.",), 1)
    async with running(sources(review=Latest(review))) as address:
        _, out, _ = await pillion("status", "--address", address)
        assert "The ? instance is left out." in out
        assert "and 2 more" in out
        assert "Both a and b ask for /x" in out
        _, out, _ = await pillion("status", "--json", "--address", address)
        assert json.loads(out)["review"]["problem_count"] == 3
