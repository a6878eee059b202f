"""Messages name values without the secrets in them."""

import pytest

from agent.config.problems import did_you_mean, masked, shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://u:p@h:1/x", "http://***@h:1/x"),
        ("nats://token@h", "nats://***@h"),
        ("postgresql://u:p@ss/w@h/d", "postgresql://***@h/d"),
        ("u:p@h", "***@h"),
        ("u:p@ss@h", "***@h"),
        ("http://h:1/x", "http://h:1/x"),
        ("a@b", "a@b"),
        ("127.0.0.1:80", "127.0.0.1:80"),
    ],
)
def test_credentials_in_urls_are_masked(text, said):
    assert masked(text) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "empty"),
        ("", "empty"),
        (True, "true"),
        (5, "5"),
        ([1], "a list"),
        ({"a": 1}, "a mapping"),
        ("x" * 100, repr("x" * 77 + "...")),
        ("a\x1b[31m", r"'a\x1b[31m'"),
    ],
)
def test_a_value_is_named_shortly_and_harmlessly(value, said):
    assert shown(value) == said


def test_a_name_like_none_is_not_guessed():
    assert did_you_mean("prot", ["port", "host"]) == "; did you mean port?"
    assert did_you_mean("colour", ["port", "host"]) == ""
