"""The YAML of settings: plain, small, without surprises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: no", "no"),
        ("a: on", "on"),
        ("a: 2026-11-01", "2026-11-01"),
        ("a: 010", "010"),
        ("a: 1:30", "1:30"),
        ("a: 0x10", "0x10"),
        ("a: true", True),
        ("a: 12", 12),
        ("a: -3", -3),
        ("a: 1.5", 1.5),
        ("a: .5", 0.5),
        ("a: 1e3", 1000.0),
        ("a: .inf", ".inf"),
        ("a: .nan", ".nan"),
        ("a: ~", None),
        ("a:", None),
        ("a: v2.1", "v2.1"),
        ("a: 1.2.3", "1.2.3"),
        ("a: <<", "<<"),
        ("a: =", "="),
        ("a: 127.0.0.1:80", "127.0.0.1:80"),
        ('a: "5"', "5"),
        ("a: 1_000", "1_000"),
    ],
)
def test_a_scalar_is_what_it_looks_like(text, value):
    found = document.parse(text)
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "twice in one mapping, again at line 3"),
        ("a: &x [1]\nb: *x", "alias"),
        ("a: *", "not YAML"),
        ("a: !!python/object:os.system x", "tag"),
        ("a: !foo [x]", "tag"),
        ("a: !!binary aGk=", "tag"),
        ("1: a", "no text"),
        ("{[a]: b}", "no text"),
        ("true: a", "no text"),
        ("a: [", "line 1"),
        ("a: b: c", "line 1"),
        ("a: 1\n---\nb: 2", "line 2"),
        ("[" * 50, "nested deeper"),
        ("x" * 300_000, "longer than 256 KiB"),
        ("a: \x00", "characters"),
        ("\ud800", "characters"),
    ],
)
def test_what_is_no_plain_document_is_refused(text, said):
    with pytest.raises(document.UnreadableError, match=said):
        document.parse(text)


def test_a_bomb_of_aliases_is_refused_at_its_first_alias():
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10))
    with pytest.raises(document.UnreadableError, match="alias"):
        document.parse(f"l0: &l0 x\n{levels}")


def test_an_empty_document_is_nothing():
    assert document.parse("") is None
    assert document.parse("# only a comment\n") is None


@given(
    st.text(alphabet=st.characters(), max_size=60)
    | st.text(alphabet="ab:-[]{}\"'*&!#|>?%@,~ \n\t0.<=", max_size=60)
)
def test_any_text_is_data_or_refused(text):
    try:
        document.parse(text)
    except document.UnreadableError:
        pass
