"""A running agent is asked over its own address, and what it says is told with what to do."""

import asyncio
import os
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest

from agent import carry
from agent.admin.sources import Sources
from agent.carry import isolated
from agent.doctor import report
from agent.doctor.finding import Finding
from agent.doctor.looks import processes
from agent.doctor.machine import hook
from agent.model.catalog import Catalog
from agent.model.revision import Refusal, Revision
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.integration.admin.test_commands import running
from tests.integration.doctor.conftest import Doctor
from tests.unit.admin.examples import sources
from tests.waiting import until

VERSION = metadata.version("pillion")


async def asked(doctor: Doctor, given: Sources, **variables: str) -> None:
    """Run the command while an agent with these sources answers."""
    async with running(given) as address:
        await asyncio.to_thread(doctor, ADMIN_LISTEN=address, **variables)


def well(**more: object) -> Sources:
    """An agent in order."""
    facts = {"service": "orders", "instance": "orders-1", "version": VERSION}
    values = {"facts": facts, "board": Board(lambda: 5.0), "revision": Latest(Revision("a", "a", (), True))}
    return Sources(**{**vars(sources()), **values, **more})  # type: ignore[arg-type]


def test_without_an_agent_it_is_said_and_is_no_problem(doctor: Doctor) -> None:
    doctor()
    found = doctor.one("agent.running")
    assert (found["level"], found["todo"]) == ("not applicable", "")
    assert "none answers (Connection refused" in found["found"]
    doctor(ADMIN_LISTEN="127.0.0.1:0")
    assert "its port is a free one" in doctor.one("agent.running")["found"]


async def test_an_agent_in_order_has_nothing_wrong(doctor: Doctor) -> None:
    await asked(doctor, well(), SERVICE_NAME="orders")
    wrong = {id_ for id_, _ in doctor.wrong()}
    assert wrong == {"consul.reachable", "ports.free"}, "the agent of the test holds the port, and no lock"
    assert doctor.one("agent.running")["found"] == f"it runs version {VERSION} beside orders"
    assert doctor.one("envoy.accepted")["level"] == "ok"


@pytest.mark.provokes("agent.running", "warning")
async def test_an_agent_of_another_service_or_version(doctor: Doctor) -> None:
    await asked(doctor, well(), SERVICE_NAME="payments")
    assert "it is that of orders, not of payments" in doctor.one("agent.running")["found"]
    facts = {"service": "orders", "version": "0.0.1"}
    await asked(doctor, well(facts=facts), SERVICE_NAME="orders")
    assert "it runs version 0.0.1" in doctor.one("agent.running")["found"]


@pytest.mark.provokes("agent.ready", "problem")
async def test_each_reason_for_which_the_instance_gets_no_requests(doctor: Doctor) -> None:
    await asked(doctor, well(ready=lambda: (False, ("the service does not answer", "Consul is away"))))
    found = [one["found"] for one in doctor.findings if one["id"] == "agent.ready"]
    assert found == ["it is not ready: the service does not answer", "it is not ready: Consul is away"]


@pytest.mark.provokes("agent.component", "warning")
async def test_each_part_that_lacks_something(doctor: Doctor) -> None:
    board = Board(lambda: 5.0)
    board.of("relay").degraded("connecting to NATS at 127.0.0.1:4222: Connection refused")
    board.of("probe").ok()
    await asked(doctor, well(board=board))
    assert doctor.one("agent.component")["subject"] == "the agent's relay"
    assert "connecting to NATS" in doctor.one("agent.component")["found"]
    assert "pillion outbox status" in doctor.one("agent.component")["todo"]


@pytest.mark.provokes("envoy.accepted", "problem")
async def test_an_envoy_that_is_not_there_or_refuses(doctor: Doctor) -> None:
    await asked(doctor, well(revision=Latest(Revision("a", ""))))
    assert doctor.one("envoy.accepted")["found"] == "no Envoy is connected to the agent"
    refusals = (Refusal("listener", "b", "the address is taken"),)
    await asked(doctor, well(revision=Latest(Revision("b", "a", refusals, True))))
    assert doctor.one("envoy.accepted")["found"] == "Envoy refuses its listener: the address is taken"


async def test_an_agent_that_says_something_odd_is_no_reason_to_fail(doctor: Doctor) -> None:
    await asked(doctor, well(catalog=Latest(Catalog()), facts={"service": "\x1b[31m", "pid": "x"}))
    assert doctor.one("agent.running")["level"] == "warning"


SITE = str(carry.SITE)
SERVES = "import time; time.sleep(60)"
NO: dict[str, object] = {"active": "no", "answers": 7, "with_hook": 0}


def started(*argv: str, **variables: str) -> Popen[bytes]:
    """A process of a service, with the hook as the agent gives it unless said otherwise."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": SITE, **variables}
    return Popen(argv, env=environ, stdin=DEVNULL)


@pytest.fixture
def ended() -> Iterator[list[Popen[bytes]]]:
    """Processes that end with the test."""
    made: list[Popen[bytes]] = []
    yield made
    for one in made:
        one.kill()
        one.wait()


async def why(doctor: Doctor, child: Popen[bytes], program: str = "python") -> Finding:
    """What is found of the hook, with this process as the service's, once it has become its program."""
    found: list[Finding] = []

    def look() -> bool:
        seen = processes.process(child.pid)
        assert seen is not None
        if not seen.argv or program not in Path(seen.argv[0]).name:
            return False
        found[:] = hook.finding(NO, "", [seen], SITE, lambda argv: isolated.why(argv, _no_script))
        return True

    await until(look)
    doctor.everything += report.data(found)["findings"]
    return found[0]


def _no_script(_program: str) -> bytes:
    raise FileNotFoundError


@pytest.mark.provokes("carry.active", "warning")
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("-S", "-S, which starts without the module site"),
        ("-I", "-I (isolated mode)"),
        ("-E", "-E, which ignores"),
    ],
)
async def test_the_option_that_keeps_the_hook_out_is_named(
    doctor: Doctor, ended: list[Popen[bytes]], option: str, said: str
) -> None:
    ended.append(started(sys.executable, option, "-c", SERVES))
    found = (await why(doctor, ended[0])).found
    assert "it is in none of 7 answers" in found
    assert said in found
    assert f"process {ended[0].pid}" in found


@pytest.mark.provokes("carry.active", "warning")
async def test_a_pythonpath_that_was_set_anew_is_found(doctor: Doctor, ended: list[Popen[bytes]]) -> None:
    ended.append(started(sys.executable, "-c", SERVES, PYTHONPATH="/app"))
    found = await why(doctor, ended[0])
    assert f"has a PYTHONPATH without {SITE}" in found.found
    assert f"Keep {SITE}" in found.todo


@pytest.mark.provokes("carry.active", "warning")
async def test_another_sitecustomize_that_comes_first_is_named(
    doctor: Doctor, ended: list[Popen[bytes]], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").touch()
    ended.append(started(sys.executable, "-c", SERVES, PYTHONPATH=f"{tmp_path}:{SITE}"))
    found = (await why(doctor, ended[0])).found
    assert f"finds {tmp_path}/sitecustomize.py first" in found
    ended.append(started(sys.executable, "-c", SERVES, PYTHONPATH=f"{SITE}:{tmp_path}"))
    assert "sitecustomize" not in (await why(doctor, ended[1])).found


@pytest.mark.provokes("carry.active", "warning")
async def test_a_hook_that_was_switched_off_and_a_service_that_is_no_python(
    doctor: Doctor, ended: list[Popen[bytes]]
) -> None:
    ended.append(started(sys.executable, "-c", SERVES, PILLION_CARRY="off"))
    assert "PILLION_CARRY is off" in (await why(doctor, ended[0])).found
    ended.append(started("sleep", "60"))
    found = await why(doctor, ended[1], "sleep")
    assert "none of its processes is a Python" in found.found


def test_the_processes_below_another_are_found(ended: list[Popen[bytes]]) -> None:
    ended.append(started("sh", "-c", "sleep 60 & wait"))
    assert ended[0].pid in processes.below(os.getpid())
    assert processes.parent(ended[0].pid) == os.getpid()
    assert processes.process(2**22 + 1) is None
