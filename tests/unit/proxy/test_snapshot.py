"""Snapshots, and resources that are kept as text."""

import pytest

from agent.proxy.snapshot import Packed, Resource, Snapshot, kept, packed

RESOURCES: dict[str, Resource] = {"b": {"y": 1, "x": [1.5, None, "é"]}, "a": {"name": "a"}}


def text(resources: dict[str, Resource]) -> Packed:
    return Packed({name: packed(one) for name, one in resources.items()})


def test_packed_resources_are_the_same_mapping() -> None:
    found = text(RESOURCES)
    assert dict(found) == RESOURCES
    assert list(found) == list(RESOURCES)
    assert (len(found), "a" in found, "c" in found, found.get("c")) == (2, True, False, None)
    with pytest.raises(KeyError):
        found["c"]


def test_packed_or_not_a_snapshot_has_the_same_hash_and_is_equal() -> None:
    plain, other = Snapshot(endpoints=RESOURCES), Snapshot(endpoints=text(RESOURCES))
    assert plain == other
    assert plain.hash == other.hash
    assert other == Snapshot(endpoints=text(RESOURCES))
    changed = Snapshot(endpoints=text({**RESOURCES, "a": {"name": "b"}}))
    assert changed not in (plain, other)
    assert changed.hash != plain.hash


def test_equal_resources_have_equal_texts_whatever_their_order() -> None:
    assert packed({"a": 1, "b": {"c": 2, "d": 3}}) == packed({"b": {"d": 3, "c": 2}, "a": 1})


def test_parts_are_compared_as_they_are_kept() -> None:
    found = text(RESOURCES)
    assert kept(found) is found.texts
    assert kept(RESOURCES) is RESOURCES
