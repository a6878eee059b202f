"""Writing a document so that all read the same."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.inject.manifests import dump, load
from tests.unit.inject.manifests.test_load import SCALARS

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text(
    "0123456789_.eE+-xob:#~ \n", max_size=8
)
DATA: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def read(text: str) -> Any:
    node = load.compose(text)
    return None if node is None else load.data(node)


@settings(max_examples=400, deadline=None)
@given(DATA)
@example("0_x1")
@example({"y": "n", "a": "\n\n", "b": " x\n", "c": "x\n\n", "d": "x \ny\n"})
def test_what_was_written_is_read_as_the_same(value):
    assert read(dump.as_yaml(value)) == value
    assert read(dump.as_json(value)) == value
    assert load.from_json(dump.as_json({"a": value})) == {"a": value}


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_a_text_is_a_text_to_readers_of_yaml_1_1_too(text):
    assert yaml.safe_load(dump.as_yaml([text])) == [text]


@pytest.mark.parametrize("text", SCALARS)
def test_texts_that_look_like_something_else_get_quotes(text):
    written = dump.as_yaml([text])
    assert yaml.safe_load(written) == read(written) == [text]
    if not isinstance(SCALARS[text], str) or SCALARS[text] == "(refused)":
        assert written.strip() != f"- {text}"


def test_texts_of_several_lines_stay_readable():
    script = "set -e\n# not a comment\nexec gunicorn app:app\n"
    assert (
        dump.as_yaml({"args": [script]})
        == f"args:\n- |\n  {script.replace(chr(10), chr(10) + '  ').rstrip()}\n"
    )


def test_long_texts_are_not_folded_and_keys_keep_their_order():
    value = {"b": "word " * 100 + "end", "a": 1}
    assert dump.as_yaml(value) == f"b: {value['b']}\na: 1\n"


def test_half_a_character_in_json_is_written_as_it_was():
    assert dump.as_json({"a": "\ud800"}) == '{\n    "a": "\\ud800"\n}\n'


def test_json_stays_json():
    assert json.loads(dump.as_json({"a": ["é", "no"]})) == {"a": ["é", "no"]}
