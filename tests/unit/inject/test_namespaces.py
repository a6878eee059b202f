"""Namespaces that the watch has not told of yet."""

import asyncio

import pytest

from agent.inject.cluster import errors
from agent.inject.cluster.client import Object
from agent.inject.cluster.kinds import Kind
from agent.inject.injection import Namespace
from agent.inject.namespaces import Namespaces
from agent.runtime.errors import Transient
from agent.runtime.latest import Latest
from tests.waiting import until


class Asked:
    """An API server that is asked for namespaces; with ``held`` it does not answer."""

    def __init__(self) -> None:
        self.labels: dict[str, str] = {}
        self.calls: list[str] = []
        self.held = asyncio.Event()
        self.held.set()

    async def get(self, _kind: Kind, name: str) -> Object:
        self.calls.append(name)
        await self.held.wait()
        if name == "absent":
            raise errors.Absent("it found nothing")
        return {"metadata": {"name": name, "labels": dict(self.labels)}}


def namespaces(client: Asked, every: float = 0.2, patience: float = 60.0) -> Namespaces:
    return Namespaces(client, Latest({"a": Namespace("a")}), patience=patience, every=every)  # type: ignore[arg-type]


async def test_what_the_mirror_has_is_known() -> None:
    found = namespaces(Asked())
    assert found.known("a") == Namespace("a")
    assert found.known("b") is None


async def test_one_that_does_not_exist_is_empty() -> None:
    assert await namespaces(Asked()).now("absent") == Namespace("absent", {}, {})


async def test_many_who_ask_at_once_cost_two_questions_and_each_sees_what_was_changed_before() -> None:
    client = Asked()
    found = namespaces(client)
    assert (await found.now("a")).labels == {}
    client.labels["x"] = "y"
    later = await asyncio.gather(*(found.now("a") for _ in range(50)))
    assert {one.labels.get("x") for one in later} == {"y"}
    assert client.calls == ["a", "a"]


async def test_who_comes_after_a_question_began_is_not_answered_by_it() -> None:
    client = Asked()
    found = namespaces(client, every=0)
    client.held.clear()
    first = asyncio.create_task(found.now("a"))
    await until(lambda: client.calls)
    second = asyncio.create_task(found.now("a"))
    await until(lambda: len(client.calls) == 2)
    client.held.set()
    await asyncio.gather(first, second)


async def test_an_api_server_that_does_not_answer_is_not_waited_for_long() -> None:
    client = Asked()
    client.held.clear()
    with pytest.raises(Transient, match=r"did not tell of the namespace a within 0\.1 s"):
        await namespaces(client, patience=0.1).now("a")


async def test_one_who_gives_up_takes_the_answer_from_nobody() -> None:
    client = Asked()
    client.held.clear()
    found = namespaces(client)
    first, second = (asyncio.create_task(found.now("a")) for _ in range(2))
    await until(lambda: client.calls)
    first.cancel()
    client.held.set()
    assert (await second).name == "a"
