"""The difference of two documents."""

import time

from hypothesis import given, settings

from agent.inject.patch import between, same
from tests.unit.inject.apply import applied
from tests.unit.inject.examples import outcome, pod
from tests.unit.inject.pods import JSON


@settings(max_examples=500, deadline=None)
@given(JSON, JSON)
def test_applied_to_the_one_it_makes_the_other(before, after):
    assert same(applied(before, between(before, after)), after)


@given(JSON)
def test_equal_documents_need_no_patch(value):
    assert between(value, value) == []


def test_keys_are_escaped_as_json_pointer_has_it():
    assert between({"a/b": {"c~d": 1}}, {"a/b": {"c~d": 2}}) == [
        {"op": "replace", "path": "/a~1b/c~0d", "value": 2}
    ]


def test_numbers_and_booleans_are_told_apart():
    assert between({"a": 1}, {"a": True}) == [{"op": "replace", "path": "/a", "value": True}]
    assert between([1], [1.0]) != []


def test_one_more_item_is_one_operation_wherever_it_stands():
    items = [{"name": str(n), "value": "x"} for n in range(50)]
    for index in (0, 25, 50):
        more = [*items[:index], {"name": "new"}, *items[index:]]
        assert between(items, more) == [{"op": "add", "path": f"/{index}", "value": {"name": "new"}}]


def test_an_item_of_the_same_name_is_changed_in_place():
    before, after = [{"name": "a", "value": "1", "x": 1}], [{"name": "a", "value": "2", "x": 1}]
    assert between(before, after) == [{"op": "replace", "path": "/0/value", "value": "2"}]


def test_a_pods_patch_never_repeats_what_is_there():
    env = [{"name": f"V{n}", "value": "secret-of-theirs"} for n in range(20)]
    one = pod(env=env, volumeMounts=[{"name": "d", "mountPath": "/d"}])
    patch = between(one, outcome(one).pod)
    assert "secret-of-theirs" not in str(patch)
    assert all(each["op"] == "add" for each in patch)


def test_variables_of_one_name_cost_no_more_than_others():
    """A small pod that is made for it is not to hold up all others: the comparison was quadratic once."""
    env = [{"name": "PYTHONPATH", "value": "/theirs"}, *({"name": "A", "value": "x"} for _ in range(20_000))]
    changed = [{"name": "PYTHONPATH", "value": "/ours:/theirs"}, *map(dict, env[1:]), {"name": "PILLION"}]
    began = time.process_time()
    found = between(env, changed)
    assert time.process_time() - began < 2
    assert found == [
        {"op": "replace", "path": "/0/value", "value": "/ours:/theirs"},
        {"op": "add", "path": "/20001", "value": {"name": "PILLION"}},
    ]


def test_what_stands_between_others_is_taken_out_where_it_stands():
    before = [{"name": name} for name in "abcde"]
    after = [{"name": name} for name in "bdx"]
    assert between(before, after) == [
        {"op": "remove", "path": "/0"},
        {"op": "remove", "path": "/1"},
        {"op": "add", "path": "/2", "value": {"name": "x"}},
        {"op": "remove", "path": "/3"},
    ]


def test_a_list_whose_items_changed_places_is_replaced():
    after = [{"name": "b"}, {"name": "a"}, {"name": "c"}]
    assert between({"x": [{"name": "a"}, {"name": "b"}]}, {"x": after}) == [
        {"op": "replace", "path": "/x", "value": after}
    ]
