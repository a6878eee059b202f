"""Whatever others write into Consul, a plan is whole, deterministic, and no service changes what others get."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.proxy import assets
from agent.proxy.planner import Memo, conflicts, plan, plan_gateway, problems
from agent.proxy.snapshot import Resource, Snapshot
from agent.proxy.xds.encode import Encoded, Encoder
from tests import hostile

FRAGMENTS = assets.load()
HOSTS = ("host.example", "fe80::1")
PORTS = (15006, 15001, 10000)
DOCUMENTS = hostile.documents(*PORTS)


def plans(chosen: Settings, catalog: Catalog) -> tuple[Snapshot, Snapshot]:
    """A sidecar's and a gateway's."""
    return plan(chosen, catalog, FRAGMENTS, HOSTS), plan_gateway(chosen, catalog, FRAGMENTS)


def turned(value: Any) -> Any:
    """The same value with every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(inner) for key, inner in reversed(value.items())}
    return [turned(one) for one in value] if isinstance(value, list) else value


@hostile.properties(60)
@given(hostile.answers, DOCUMENTS)
def test_the_same_input_in_another_order_is_the_same_to_the_byte(
    answers: dict[str, list[Any]], document: dict[str, Any]
) -> None:
    chosen, again = hostile.taken(document), hostile.taken(turned(document))
    if chosen is None or again is None:
        assert chosen is again
        return
    before, after = hostile.catalogue(answers), hostile.catalogue(turned(answers))
    for one, other in zip(plans(chosen, before), plans(again, after), strict=True):
        first, second = Encoder().encode(one), Encoder().encode(other)
        assert isinstance(first, Encoded), first
        assert first == second
    assert problems(before) == problems(after)
    assert conflicts(before) == conflicts(after)


@hostile.properties(60)
@given(hostile.answers, hostile.any_name, st.data(), DOCUMENTS)
def test_no_service_changes_what_is_planned_for_another(
    answers: dict[str, list[Any]], name: str, data: st.DataObject, document: dict[str, Any]
) -> None:
    chosen = hostile.taken(document)
    if chosen is None:
        return
    others = {one: rows for one, rows in answers.items() if one != name}
    with_it = hostile.catalogue({**others, name: data.draw(hostile.rows(name))})
    alone, together = hostile.catalogue(others), with_it
    for before, after in zip(plans(chosen, alone), plans(chosen, together), strict=True):
        for part in ("clusters", "endpoints", "listeners"):
            rest = _without(getattr(after, part), name)
            assert rest == _without(getattr(before, part), name)
    outbound = [plan(chosen, one, FRAGMENTS, HOSTS).routes for one in (alone, together)]
    assert _hosts(outbound[1], name) == _hosts(outbound[0], name)
    doors = [plan_gateway(chosen, one, FRAGMENTS).routes["gateway"] for one in (alone, together)]
    disputed = {prefix for winner, loser, prefix in _disputes(together) if name in (winner, loser)}
    if not disputed:
        assert _routes(doors[1], name) == _routes(doors[0], name)


def _mine(key: str, name: str) -> bool:
    return key == f"upstream_{name}" or key.startswith(f"upstream_{name}_")


def _without(part: Mapping[str, Resource], name: str) -> dict[str, Resource]:
    return {key: value for key, value in part.items() if not _mine(key, name)}


def _hosts(routes: Mapping[str, Resource], name: str) -> dict[str, list[Resource]]:
    return {
        key: [
            host
            for host in one["virtual_hosts"]
            if host["name"] != name and not host["name"].startswith(f"{name}.")
        ]
        for key, one in routes.items()
        if key != f"port_{name}"
    }


def _routes(door: Resource, name: str) -> list[Resource]:
    """The gateway's routes but the list of all services and those of one."""
    found = door["virtual_hosts"][0]["routes"]
    return [one for one in found if one["name"] != "versions" and not one["name"].startswith(f"{name} ")]


def _disputes(catalog: Catalog) -> list[tuple[str, str, str]]:
    """(winner, loser, prefix) of each conflict that is reported."""
    found = []
    for sentence in conflicts(catalog):
        words = sentence.removesuffix(" gets it.").split(" ")
        found.append((words[1], words[3], words[6].rstrip(":")))
    return found


@hostile.properties(30)
@given(st.lists(hostile.answers, min_size=2, max_size=3), st.lists(DOCUMENTS, min_size=1, max_size=2))
def test_a_plan_with_a_memo_equals_one_without(
    stages: list[dict[str, list[Any]]], documents: list[dict[str, Any]]
) -> None:
    memo, gateways, encoder = Memo(), Memo(), Encoder()
    for number, answers in enumerate(stages):
        chosen = hostile.taken(documents[number % len(documents)])
        if chosen is None:
            continue
        catalog = hostile.catalogue(answers)
        sidecar, door = plans(chosen, catalog)
        remembered = plan(chosen, catalog, FRAGMENTS, HOSTS, memo)
        assert remembered == sidecar
        assert remembered.hash == sidecar.hash
        assert plan_gateway(chosen, catalog, FRAGMENTS, gateways) == door
        assert encoder.encode(remembered) == Encoder().encode(sidecar)
