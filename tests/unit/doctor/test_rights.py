"""The rights that a pod needs for an examination, compared with what one asks for."""

import re
from typing import Any

import pytest

from agent.doctor import rights
from agent.doctor.rights import Right
from tests.unit.doctor import objects as made
from tests.unit.doctor.test_examine import World, looked

PATH = re.compile(r"/apis?(?:/([a-z.0-9]+))?/v1(?:/namespaces/([^/?]+))?/([a-z]+)(?:/([^/?]+))?(?:\?.*)?")
CA = "/api/v1/namespaces/pillion/secrets/pillion-injector-ca"


def needed(path: str) -> tuple[str, str, str, str, str]:
    """Group, resource, verb, namespace and name of a question."""
    found = PATH.fullmatch(path)
    assert found, path
    group, namespace, resource, name = (one or "" for one in found.groups())
    return group, resource, "get" if name else "list", namespace, name


def granted(right: Right, asked: tuple[str, str, str, str, str]) -> bool:
    group, resource, verb, namespace, name = asked
    names = {f"pillion-injector{ending}" for ending in right.named}
    where = not right.own or (namespace == "pillion" and name in names)
    return (right.group, right.resource) == (group, resource) and verb in right.verbs and where


@pytest.fixture
async def asked() -> set[tuple[str, str, str, str, str]]:
    """All that two examinations ask for that together ask for everything."""
    settings = made.settings("catalog", "http://consul.infra.svc:8500")
    found: set[str] = set()
    changes: dict[str, Any]
    for changes in ({}, {"/api/v1/namespaces/pillion/configmaps/pillion-injector": settings, CA: None}):
        world = World(**changes)
        await looked(world)
        found |= set(world.asked)
    return {needed(path) for path in found - {"/version"}}


async def test_every_question_is_allowed(asked: set[tuple[str, str, str, str, str]]) -> None:
    assert [one for one in asked if not any(granted(right, one) for right in rights.ALL)] == []


async def test_every_right_is_used(asked: set[tuple[str, str, str, str, str]]) -> None:
    for right in rights.ALL:
        for verb in right.verbs:
            used = [one for one in asked if granted(right, one) and one[2] == verb]
            assert used, f"{verb} {right.resource}"
            if right.named:
                assert {one[4] for one in used} == {f"pillion-injector{ending}" for ending in right.named}


def test_every_right_only_reads_and_has_a_reason() -> None:
    for right in rights.ALL:
        assert set(right.verbs) <= {"get", "list"}
        assert right.why.endswith(".")
