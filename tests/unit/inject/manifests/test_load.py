"""Reading one document as Kubernetes does."""

import json
from pathlib import Path

import pytest

from agent.inject.manifests import load
from agent.inject.patch import same

SCALARS = json.loads((Path(__file__).parent / "scalars.json").read_text())
"""What sigs.k8s.io/yaml 1.6.0, which kubectl reads with, makes of ``k: SCALAR``."""

MERGES = json.loads((Path(__file__).parent / "merges.json").read_text())
"""What it makes of whole documents with merge keys, where the order of the keys counts."""


def read(text: str):
    node = load.compose(text)
    assert node is not None
    return load.data(node)


@pytest.mark.parametrize("written", SCALARS)
def test_a_scalar_without_quotes_means_what_it_means_to_kubernetes(written):
    expected = SCALARS[written]
    if expected == "(refused)":
        with pytest.raises(load.InvalidError):
            read(f"k: {written}")
        return
    found = read(f"k: {written}")["k"]
    assert type(found) is type(expected) or float(found) == float(expected)
    assert found == expected or float(found) == float(expected)


@pytest.mark.parametrize("written", ["'no'", '"012"', '"~"', "!!str 12", "|-\n  1e3"])
def test_what_has_quotes_or_a_tag_is_a_text(written):
    assert isinstance(read(f"k: {written}")["k"], str)


def test_keys_are_texts_as_json_has_them():
    assert read("{1: a, yes: b, 1.5: c, '~': d}") == {"1": "a", "true": "b", "1.5": "c", "~": "d"}


@pytest.mark.parametrize("written", MERGES)
def test_a_merge_means_what_it_means_to_kubernetes_also_behind_a_key_that_it_overrides(written):
    expected = MERGES[written]
    if expected == "(refused)":
        with pytest.raises(load.InvalidError):
            read(written)
        return
    assert same(read(written), expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "has a key twice in one mapping, again at line 2"),
        ("a: !Ref x", "has a tag (!) at line 1"),
        ("a: !!binary aGk=", "has a tag (!) at line 1"),
        ("a: !!int x", "has a tag (!) at line 1"),
        ("? [1]\n: a", "has a key at line 1 that is no text"),
        ("a: {<<: 1}", "merges something that is no mapping"),
        ("a: &a [*a]", "is nested deeper than 100 levels"),
        ("a: " + "[" * 101 + "]" * 101, "is nested deeper than 100 levels"),
        ("a: .nan", "holds an infinite number"),
        ("a: *b", "is not YAML at line 1"),
        ("a: [", "is not YAML"),
        ("a: \x01", "holds characters that YAML does not allow"),
    ],
)
def test_what_kubernetes_would_not_take_is_refused_with_its_place(text, said):
    with pytest.raises(load.InvalidError) as refused:
        read(text)
    assert said in str(refused.value)


def test_an_error_quotes_nothing_of_the_document():
    with pytest.raises(load.InvalidError) as refused:
        read("password: hunter2: x\n\t- hunter2")
    assert "hunter2" not in str(refused.value)


def test_aliases_count_as_what_they_stand_for():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    with pytest.raises(load.InvalidError, match="more than 500000 values"):
        read("\n".join(lines))


def test_json_may_be_indented_with_tabs_and_no_key_is_there_twice():
    assert load.from_json('{\n\t"a": [1, 1.0, null]\n}') == {"a": [1, 1.0, None]}
    assert load.from_json("{a: b}") is None
    for text in ('{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1e999}', '{"a": ' * 100000):
        with pytest.raises(load.InvalidError):
            load.from_json(text) or load.compose(text)
