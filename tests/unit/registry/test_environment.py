"""Configuration values as environment and as files."""

import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent.model.store import Entry, Store
from agent.registry import delivery, environment, formats, kv


def store(own: dict[str, bytes], shared: dict[str, bytes] | None = None) -> Store:
    entries = {key: Entry(1, value, shared=True) for key, value in (shared or {}).items()}
    return Store({**entries, **{key: Entry(2, value) for key, value in own.items()}})


def test_names_are_upper_cased_with_separators_as_underscores() -> None:
    made = environment.environment(store({"db/pool-size": b"5", "a.b": b"x"}), {})
    assert made == environment.Environment({"DB_POOL_SIZE": "5", "A_B": "x"})


def test_the_services_own_key_wins_over_a_shared_one_that_makes_the_same_name() -> None:
    made = environment.environment(store({"z.z": b"own"}, {"z-z": b"shared"}), {})
    assert made.variables == {"Z_Z": "own"}
    assert [refused.key for refused in made.refused] == ["z-z"]


def test_the_operators_environment_wins_over_both() -> None:
    assert environment.environment(store({"a": b"1"}, {"b": b"2"}), {"A": "0", "B": "0"}).variables == {}


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("path", "would set PATH, which only the operator may"),
        ("PATH", "would set PATH, which only the operator may"),
        ("ld.preload", "would set LD_PRELOAD, which only the operator may"),
        ("pythonpath", "would set PYTHONPATH, which only the operator may"),
        ("pillion/registry/token", "would set PILLION_REGISTRY_TOKEN, which only the operator may"),
        ("gunicorn_cmd_args", "would set GUNICORN_CMD_ARGS, which only the operator may"),
        ("bash/env", "would set BASH_ENV, which only the operator may"),
        ("openssl/conf", "would set OPENSSL_CONF, which only the operator may"),
        ("sslkeylogfile", "would set SSLKEYLOGFILE, which only the operator may"),
        ("jdk.java.options", "would set JDK_JAVA_OPTIONS, which only the operator may"),
        ("port", "would set PORT, which only the operator may"),
        ("http-proxy", "would set HTTP_PROXY, which only the operator may"),
        ("no_proxy", "would set NO_PROXY, which only the operator may"),
        ("1st", "makes no name of a variable"),
        ("", "makes no name of a variable"),
        ("a b", "makes no name of a variable"),
        ("a=b", "makes no name of a variable"),
        ("ä", "makes no name of a variable"),
        ("ß", "makes no name of a variable"),
    ],
)
def test_reserved_and_invalid_names_are_refused_and_reported(key: str, reason: str) -> None:
    made = environment.environment(store({key: b"x"}), {})
    assert made == environment.Environment({}, (environment.Refused(key, reason),))


def test_pathology_is_not_path() -> None:
    assert environment.environment(store({"pathology": b"x", "ldap": b"y"}), {}).variables == {
        "PATHOLOGY": "x",
        "LDAP": "y",
    }


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"a\0b", "holds a NUL"),
        (b"\xff", "is not UTF-8 text"),
        (b"x" * 131_072, "is longer than 131070 bytes"),
    ],
)
def test_values_that_no_variable_can_hold_are_refused(value: bytes, reason: str) -> None:
    made = environment.environment(store({"a": value, "b": b"x"}), {})
    assert (made.variables, made.refused) == ({"B": "x"}, (environment.Refused("a", reason),))


def test_all_together_fit_what_linux_takes() -> None:
    made = environment.environment(store({f"k{number:02}": b"x" * 100_000 for number in range(20)}), {})
    assert sum(map(len, made.variables.values())) <= environment.LARGEST
    assert made.refused


@given(st.dictionaries(st.text(max_size=12), st.binary(max_size=20)), st.dictionaries(st.text(), st.binary()))
def test_whatever_is_in_kv_only_harmless_variables_come_out(
    own: dict[str, bytes], shared: dict[str, bytes]
) -> None:
    made = environment.environment(store(own, shared), {})
    for name, text in made.variables.items():
        assert re.fullmatch(r"[A-Z_][A-Z0-9_]*", name)
        assert name != "PATH"
        assert not name.startswith(("LD_", "PYTHON", "PILLION_"))
        assert not name.endswith("_PROXY")
        assert "\0" not in text


texts = st.dictionaries(
    st.text(min_size=1, max_size=8), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)


@given(texts)
def test_json_and_yaml_files_hold_the_values_as_they_are(values: dict[str, str]) -> None:
    assert json.loads(formats.render("json", values)) == values
    assert yaml.safe_load(formats.render("yaml", values)) == values


def test_a_dotenv_file_quotes_what_a_shell_or_a_reader_would_expand() -> None:
    values = {
        "a": "plain-1.0",
        "b": '$(rm) ${HOME} # "x"',
        "c": "it's\\",
        "path": "/evil",
        "d.e": "1",
        "d-e": "2",
    }
    assert formats.render("dotenv", values).decode().splitlines() == [
        "A=plain-1.0",
        "B='$(rm) ${HOME} # \"x\"'",
        "C='it\\'s\\\\'",
        "D_E=2",
    ]


def test_a_value_that_was_never_good_is_left_out_and_one_that_was_keeps_its_last_good_one() -> None:
    good = delivery.renewed({"a": "1", "gone": "3"}, store({"a": b"\xff", "b": b"\0", "c": b"4"}))
    assert good.values == {"a": "1", "c": "4", "gone": "3"}
    assert good.problems == (
        "a is not UTF-8 text",
        "b holds a NUL",
        "gone was deleted and keeps its last value until the next start",
    )


@given(st.dictionaries(st.text(), st.builds(Entry, st.integers(1), st.binary(), st.booleans())))
def test_the_last_values_come_back_from_their_file_as_they_were(entries: dict[str, Entry]) -> None:
    before = Store(entries, max((entry.index for entry in entries.values()), default=0))
    assert kv.parse(kv.encode(before)) == before


@given(st.binary(max_size=100))
def test_a_damaged_file_of_last_values_is_none(data: bytes) -> None:
    assert kv.parse(data) is None


def test_rows_of_kv_that_are_folders_or_malformed_are_left_out() -> None:
    rows = [
        {"Key": "config/orders/", "Value": None, "ModifyIndex": 1},
        {"Key": "config/orders/sub/", "Value": b"x", "ModifyIndex": 1},
        {"Key": "config/orders/empty", "Value": None, "ModifyIndex": 5},
        {"Key": "config/other/a", "Value": b"x", "ModifyIndex": 1},
        {"Key": 7, "Value": b"x", "ModifyIndex": 1},
        {"Key": "config/orders/a", "Value": b"x", "ModifyIndex": "1"},
        None,
    ]
    assert kv.folder("config/orders/", False, rows) == {"empty": Entry(5, b"")}
