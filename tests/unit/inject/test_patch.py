"""The difference of two documents."""

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
