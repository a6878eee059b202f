"""How checks are run and what is told of them."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from agent.doctor import report
from agent.doctor.cluster import CONFIGURATIONS, Cluster
from agent.doctor.documents import PAGE, Documents
from agent.doctor.examine import examine
from agent.doctor.finding import Check, Finding, Level, absent, ok, problem, warning
from agent.runtime.errors import Permanent, Transient
from tests.unit.doctor import objects as made


async def well() -> Sequence[Finding]:
    return [ok("a", "a thing", "is well")]


async def test_checks_run_at_once_and_are_told_in_their_order() -> None:
    both = asyncio.Barrier(2)

    async def first() -> Sequence[Finding]:
        await both.wait()
        return [ok("first", "x", "y")]

    async def second() -> Sequence[Finding]:
        await both.wait()
        return [ok("second", "x", "y"), warning("second.more", "x", "y", "z")]

    found = await examine([Check("first", "x", first), Check("second", "x", second)], within=5)
    assert [one.id for one in found] == ["first", "second", "second.more"]


async def test_a_check_that_hangs_or_fails_is_a_problem_and_keeps_nobody_up() -> None:
    async def hangs() -> Sequence[Finding]:
        await asyncio.Event().wait()
        return []

    async def fails() -> Sequence[Finding]:
        raise Transient("it is away")

    async def broken() -> Sequence[Finding]:
        raise KeyError("hunter2")

    checks = [Check("h", "h", hangs), Check("f", "f", fails), Check("b", "b", broken), Check("a", "a", well)]
    found = await examine(checks, within=0.05)
    assert [one.level for one in found] == [Level.PROBLEM] * 3 + [Level.OK]
    assert "KeyError in Pillion itself" in found[2].found
    assert "hunter2" not in found[2].found
    assert "within 0.05 s" in found[0].found
    assert "it is away" in found[1].found
    assert all(one.todo for one in found[:2])


def test_only_a_problem_makes_it_unwell_and_the_words_say_what_to_do() -> None:
    findings = [ok("a", "x", "is"), absent("b", "x", "is not"), warning("c.d", "x", "may", "Do it.")]
    assert report.is_well(findings)
    assert not report.is_well([*findings, problem("e", "x", "is off", "Mend it.")])
    assert [line for _, line in report.lines(findings)] == [
        "ok       a    x: is",
        "-        b    x: is not",
        "warning  c.d  x: may",
        "              -> Do it.",
    ]
    assert report.summary(findings) == "0 problems, 1 warning, 1 ok"
    assert json.loads(json.dumps(report.data(findings)))["findings"][2] == {
        "id": "c.d", "level": "warning", "subject": "x", "found": "may", "todo": "Do it.",
    }  # fmt: skip


class World:
    """An API server in memory: what it answers by path, without the query."""

    def __init__(self, **changes: Any) -> None:
        self.asked: list[str] = []
        bundle = made.authority()
        self.found: dict[str, Any] = {
            "/version": {"gitVersion": "v1.37.2"},
            "/api/v1/nodes": [made.node("n1", "v1.37.2")],
            CONFIGURATIONS: [made.configuration(bundle), made.foreign()],
            "/api/v1/namespaces/pillion/secrets/pillion-injector-ca": {"data": {"ca.crt": bundle}},
            "/api/v1/namespaces/pillion/configmaps/pillion-injector": made.settings(),
            "/api/v1/namespaces/pillion/services/pillion-injector": made.service(),
            "/apis/discovery.k8s.io/v1/namespaces/pillion/endpointslices": made.slices(True, True),
            "/api/v1/namespaces": [made.namespace("shop", "enabled")],
            "/api/v1/pods": [made.injected(), made.injected("o-2")],
            "/api/v1/services": [made.service(15006)],
            "/apis/apps/v1/daemonsets": [made.daemons(1, 1)],
            **changes,
        }

    async def get(self, path: str) -> Any:
        self.asked.append(path)
        found = self.found.get(path.partition("?")[0])
        if isinstance(found, Exception):
            raise found
        return {"items": found, "metadata": {}} if isinstance(found, list) else found


async def looked(world: World) -> dict[str, Level]:
    documents = Documents(world)
    found = await examine(Cluster(documents).checks())
    await documents.close()
    return {one.id: one.level for one in found}


async def test_a_cluster_in_order_has_nothing_wrong_and_is_asked_for_each_thing_once() -> None:
    world = World()
    found = await looked(world)
    assert {id_ for id_, level in found.items() if level in {Level.WARNING, Level.PROBLEM}} == set()
    assert set(found) == {
        "kubernetes.version", "kubernetes.nodes", "webhook.present", "webhook.failure-policy", "webhook.ca",
        "webhook.ca-secret", "webhook.certificate", "webhook.service", "injection.namespaces",
        "injection.missing", "sidecars.native", "sidecars.ready", "sidecars.version", "jobs.end",
        "services.bypass", "consul.mode", "consul.agents", "consul.sweep", "consul.service",
    }  # fmt: skip
    assert len(world.asked) == len(set(world.asked))


async def test_in_an_empty_cluster_the_webhook_is_missing_and_the_rest_says_so() -> None:
    everything = World().found
    world = World(**{path: [] if isinstance(found, list) else None for path, found in everything.items()})
    world.found["/version"] = everything["/version"]
    found = await looked(world)
    assert found["webhook.present"] is Level.PROBLEM
    assert found["webhook.ca"] is found["injection.missing"] is Level.NOT_APPLICABLE


async def test_an_api_server_that_is_away_is_one_problem() -> None:
    world = World(**{"/version": Transient("connection refused")})
    found = await looked(world)
    assert [id_ for id_, level in found.items() if level is Level.PROBLEM] == ["kubernetes.version"]
    assert world.asked == ["/version"]


async def test_what_may_not_be_read_is_a_problem_of_that_check_alone() -> None:
    world = World(**{"/api/v1/namespaces/pillion/secrets/pillion-injector-ca": Permanent("forbidden")})
    found = await looked(world)
    assert [id_ for id_, level in found.items() if level is Level.PROBLEM] == ["webhook.ca-secret"]
    world = World(**{"/api/v1/namespaces/pillion/configmaps/pillion-injector": Permanent("forbidden")})
    assert (await looked(world))["consul.mode"] is Level.NOT_APPLICABLE


async def test_long_lists_are_read_page_by_page() -> None:
    class Pages:
        async def get(self, path: str) -> Any:
            number = int(path.partition("continue=")[2] or "0")
            more = str(number + 1) if number < 2 else ""
            return {"items": [{"page": number}, 3], "metadata": {"continue": more}}

    documents = Documents(Pages())
    assert await documents.all("/api/v1/pods") == [{"page": number} for number in range(3)]
    assert PAGE == 500


@pytest.mark.parametrize("answer", ["text", 3, []])
async def test_what_is_no_object_is_said_to_be_none(answer: Any) -> None:
    class Odd:
        async def get(self, path: str) -> Any:
            return answer

    with pytest.raises(Transient, match="not an object"):
        await Documents(Odd()).one("/version")
