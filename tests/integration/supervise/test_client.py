"""The agent's end of the socket, against a scripted other end."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.runtime import supervisor as module
from agent.runtime.errors import Permanent, Transient
from agent.runtime.supervisor import ChildState, Supervisor
from tests.waiting import until

STATE = {"pid": 7, "status": None, "restarts": 0, "asked": False}


class Other:
    """The supervisor's end: answers ``state`` by itself, everything else as the test says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.requests: list[dict[str, Any]] = []

    async def serve(self) -> None:
        while line := await self._reader.readline():
            request = json.loads(line)
            if request["do"] == "state":
                self.say({"id": request["id"], "states": {"envoy": STATE}, "leaving": False})
            else:
                self.requests.append(request)

    def say(self, message: object) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        self._writer.close()


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Supervisor, Other]]:
    ours, its = socket.socketpair()
    other = Other(*await asyncio.open_unix_connection(sock=its))
    serving = asyncio.create_task(other.serve())
    async with Supervisor(ours.detach()) as supervisor:
        yield supervisor, other
    serving.cancel()
    await asyncio.wait({serving})
    other.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "supervisor.reader"]


async def test_the_states_are_known_from_the_beginning_and_follow_the_events(
    ends: tuple[Supervisor, Other],
) -> None:
    supervisor, other = ends
    assert supervisor.states.value == {"envoy": ChildState(7, True, None, 0, False)}
    assert not supervisor.leaving.value
    other.say({"states": {"envoy": {**STATE, "pid": None, "status": -9}}, "leaving": True})
    await until(lambda: supervisor.leaving.value)
    assert supervisor.states.value == {"envoy": ChildState(None, False, -9, 0, False)}


async def test_answers_go_to_whoever_asked_in_whatever_order_they_come(
    ends: tuple[Supervisor, Other],
) -> None:
    supervisor, other = ends
    first = asyncio.create_task(supervisor.stop("envoy", 5.0))
    second = asyncio.create_task(supervisor.start("service", ["a", "b"], {"X": "1"}))
    await until(lambda: len(other.requests) == 2)
    asked = {request.pop("id"): request for request in other.requests}
    assert list(asked.values()) == [
        {"do": "stop", "child": "envoy", "timeout": 5.0},
        {"do": "start", "child": "service", "argv": ["a", "b"], "env": {"X": "1"}, "restart": False},
    ]
    stop, start = asked
    other.say({"id": start, "state": {**STATE, "pid": 9}})
    assert (await second).pid == 9
    other.say({"id": stop, "state": {**STATE, "pid": None, "status": 0}})
    assert await first == ChildState(None, False, 0, 0, False)


async def test_a_refusal_is_permanent_and_says_what_was_asked(ends: tuple[Supervisor, Other]) -> None:
    supervisor, other = ends
    asking = asyncio.create_task(supervisor.signal("service", 1))
    await until(lambda: other.requests)
    other.say({"id": other.requests[0]["id"], "error": "service does not run"})
    with pytest.raises(Permanent, match="supervisor: signal service: service does not run"):
        await asking


async def test_a_supervisor_that_goes_away_fails_what_waits_and_means_leaving(
    ends: tuple[Supervisor, Other],
) -> None:
    supervisor, other = ends
    asking = asyncio.create_task(supervisor.stop("service", 60.0))
    await until(lambda: other.requests)
    other.close()
    with pytest.raises(Transient, match="the supervisor is gone"):
        await asking
    assert supervisor.leaving.value
    with pytest.raises(Transient, match="the supervisor is gone"):
        await supervisor.ready()
    await supervisor.refresh()


async def test_a_supervisor_that_does_not_answer_is_not_waited_for_for_ever(
    ends: tuple[Supervisor, Other], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, _ = ends
    monkeypatch.setattr(module, "ANSWER_TIME", 0.05)
    with pytest.raises(Transient, match=r"supervisor: ready: no answer within 0\.05 s"):
        await supervisor.ready()


@pytest.mark.parametrize("line", ["nonsense", [1], {"states": {"envoy": {}}}, {"states": 3}])
async def test_what_can_not_be_read_counts_as_a_supervisor_that_is_gone(
    ends: tuple[Supervisor, Other], line: object
) -> None:
    supervisor, other = ends
    other.say(line)
    await supervisor.leaving.until(bool)
