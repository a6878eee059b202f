"""Secrets come from variables and files and show up nowhere."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.secret import Secret
from agent.config.sources import load
from agent.runtime.errors import Misconfigured
from tests.unit.config.memory import Memory

SECRET = "hunter2-hunter2"
VARIABLES = ("PILLION_REGISTRY_TOKEN", "PILLION_OUTBOX_DATABASE", "PILLION_OUTBOX_BROKER_URL")


def refused(environ, files=None, text="", **disk) -> str:
    with pytest.raises(Misconfigured) as caught:
        load({}, environ, Path("p.yaml"), Memory({"p.yaml": text, **(files or {})}, **disk))
    return str(caught.value)


def test_the_first_line_of_a_file_is_the_value():
    files = Memory({"/run/token": f"  {SECRET} \nmore\n"})
    resolved = load({}, {"PILLION_REGISTRY_TOKEN_FILE": "/run/token"}, None, files)
    assert resolved.settings.registry.token == SECRET
    assert str(resolved.origins["registry.token"]) == "PILLION_REGISTRY_TOKEN_FILE"
    assert resolved.warnings == ()


def test_consuls_own_variables_are_honoured_and_its_file_wins():
    files = Memory({"/run/token": SECRET})
    environ = {"CONSUL_HTTP_TOKEN": "other", "CONSUL_HTTP_TOKEN_FILE": "/run/token"}
    assert load({}, environ, None, files).settings.registry.token == SECRET
    ours = {"PILLION_REGISTRY_TOKEN": "ours", **environ}
    assert load({}, ours, None, files).settings.registry.token == "ours"
    text = Memory({"p.yaml": "registry: {token: ours}", "/run/token": SECRET})
    assert load({}, environ, Path("p.yaml"), text).settings.registry.token == "ours"


def test_a_file_that_everybody_reads_is_a_warning():
    files = Memory({"/run/token": SECRET}, shared={"/run/token"})
    (warning,) = load({}, {"PILLION_REGISTRY_TOKEN_FILE": "/run/token"}, None, files).warnings
    assert "/run/token" in str(warning)
    assert SECRET not in str(warning)


def test_nobody_else_reads_the_files_of_a_pods_volume() -> None:
    files = Memory({"/run/token": SECRET}, shared={"/run/token"})
    told = {"PILLION_REGISTRY_TOKEN_FILE": "/run/token", "PILLION_KUBERNETES_POD_UID": "1f-2"}
    assert load({"service.name": "a"}, told, None, files).warnings == ()


@pytest.mark.parametrize(
    ("files", "disk", "said"),
    [
        ({}, {}, "No such file"),
        ({"/run/token": ""}, {}, "an empty first line"),
        ({"/run/token": "\nx"}, {}, "an empty first line"),
        ({"/run/token": "x"}, {"broken": {"/run/token"}}, "Permission denied"),
    ],
)
def test_a_file_without_a_value_is_a_problem_that_names_it(files, disk, said):
    found = refused({"PILLION_REGISTRY_TOKEN_FILE": "/run/token"}, files, **disk)
    assert "/run/token" in found
    assert said in found


def test_a_secret_and_its_file_both_given_is_a_problem():
    environ = {"PILLION_REGISTRY_TOKEN": SECRET, "PILLION_REGISTRY_TOKEN_FILE": "/run/token"}
    found = refused(environ, {"/run/token": SECRET})
    assert "registry.token_file too" in found
    assert SECRET not in found


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("ruin", ["{}\x07", "{}\n", "\x00{}"])
def test_a_bad_secret_is_refused_without_being_named(variable, ruin):
    assert SECRET not in refused({variable: ruin.format(SECRET)})


@pytest.mark.parametrize(
    "text",
    [
        f"registry: {{token: [{SECRET}]}}",
        f"registry: {{token: {{{SECRET}: 1}}}}",
        f"registry: {{token: *{SECRET}}}",
        f"registry: {{token: !{SECRET} x}}",
        f"registry: {{token: '{SECRET}",
        f'registry: {{token: "{SECRET}\\q"}}',
        "registry: {token: 7274747274747}",
        f"registry: token:{SECRET}",
        f"registry: {{token:{SECRET}!}}",
        f"registry: {SECRET}: x",
        f"outbox: {{database: 'x://u:{SECRET}@h', broker: {{url: 'u:{SECRET}@h'}}}}",
        f"registry: {{address: 'http://u:{SECRET}@h:1'}}",
        f"registry: {{address: 'ftp://u:{SECRET}@h:1/@x'}}",
        f"tracing: {{endpoint: 'http://u:{SECRET}@h:1', sample: 'http://u:{SECRET}@h'}}",
        f"outbox: {{database: 5, tables: 'postgres://u:{SECRET}@h'}}",
    ],
)
def test_a_bad_file_is_refused_without_its_secrets(text):
    said = refused({}, text=text)
    assert SECRET not in said
    assert "7274747274747" not in said


@given(
    st.dictionaries(st.sampled_from(VARIABLES), st.text(max_size=5).map(lambda more: f"{SECRET}{more}")),
    st.text(max_size=20),
)
def test_no_secret_is_in_any_problem_or_warning(environ, other):
    said = []
    try:
        said += load({"service.name": other}, environ, None, Memory(), require="sidecar").warnings
    except Misconfigured as error:
        said += error.problems
    assert not any(SECRET in str(one) for one in said)


def test_a_secret_setting_may_say_where_the_secret_is():
    files = Memory(
        {
            "p.yaml": "{registry: {token: 'file:/run/token'}, outbox: {database: 'env:ORDERS_DSN'}}",
            "/run/token": SECRET,
        }
    )
    dsn = f"postgresql://u:{SECRET}@h/d"
    resolved = load({}, {"ORDERS_DSN": dsn}, Path("p.yaml"), files)
    assert (resolved.settings.registry.token, resolved.settings.registry.token_file) == (SECRET, "/run/token")
    assert resolved.settings.outbox.database == dsn
    assert Secret.of(resolved.settings.registry, "registry.token").from_file


def test_a_variable_to_which_a_secret_setting_refers_is_the_agents_alone():
    environ = {"ORDERS_TOKEN": SECRET, "PILLION_REGISTRY_TOKEN": "env:ORDERS_TOKEN", "REGION": "eu"}
    resolved = load({}, environ, None, Memory())
    assert resolved.settings.registry.token == SECRET
    assert str(resolved.origins["registry.token"]) == "ORDERS_TOKEN"
    assert resolved.inherited(environ) == {"PILLION_REGISTRY_TOKEN": "env:ORDERS_TOKEN", "REGION": "eu"}


def test_a_variable_that_says_where_the_secret_is_works_like_the_file():
    files = Memory({"/run/token": SECRET})
    environ = {"PILLION_REGISTRY_TOKEN": "file:/run/token"}
    assert load({}, environ, None, files).settings.registry.token == SECRET


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file:/run/none", "names /run/none, which can't be read"),
        ("env:NOT_SET", "refers to the variable NOT_SET, which is not set"),
        ("env:EMPTY", "refers to the variable EMPTY, which is not set"),
    ],
)
def test_a_reference_to_nothing_is_a_problem(text, said):
    assert said in refused({"PILLION_REGISTRY_TOKEN": text, "EMPTY": ""})


def test_a_reference_and_the_setting_of_the_file_are_one_too_many():
    environ = {"PILLION_REGISTRY_TOKEN": "file:/run/a", "PILLION_REGISTRY_TOKEN_FILE": "/run/b"}
    assert "registry.token_file too" in refused(environ, {"/run/a": SECRET, "/run/b": SECRET})


def test_a_reference_to_a_variable_with_a_bad_value_does_not_show_it():
    found = refused({"PILLION_REGISTRY_TOKEN": "env:TOKEN", "TOKEN": f"{SECRET}\n"})
    assert "registry.token holds a line break" in found
    assert SECRET not in found
