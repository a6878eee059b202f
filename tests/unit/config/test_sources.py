"""Where settings come from: precedence, unknown names, all problems at once."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent.config.settings import Settings
from agent.config.sources import load
from agent.runtime.errors import Misconfigured
from tests.unit.config.memory import Memory

FILE = Path("/etc/pillion.yaml")


def disk(text: str, **more: str) -> Memory:
    return Memory({str(FILE): text, **more})


def problems(flags=None, environ=None, text="", **options) -> dict[str, str]:
    with pytest.raises(Misconfigured) as caught:
        load(flags or {}, environ or {}, FILE, disk(text), **options)
    return {problem.key: str(problem) for problem in caught.value.problems}


def test_without_any_source_everything_is_default():
    resolved = load({}, {}, None, Memory())
    assert resolved.settings == Settings()
    assert {str(origin) for origin in resolved.origins.values()} == {"default"}
    assert resolved.warnings == ()
    assert resolved.file is None


@given(st.sets(st.sampled_from(["flag", "environment", "file", "foreign"])))
def test_the_highest_source_that_gives_a_value_wins(present):
    """Flag, then our variable, then the file, then a foreign variable, then the default."""
    ports = {"flag": "flag", "environment": "env", "file": "file", "foreign": "foreign"}
    environ = {}
    if "environment" in present:
        environ["PILLION_SERVICE_NAME"] = ports["environment"]
    if "foreign" in present:
        environ["OTEL_SERVICE_NAME"] = ports["foreign"]
    flags = {"service.name": ports["flag"] if "flag" in present else None}
    text = f"service: {{name: {ports['file']}}}" if "file" in present else ""
    resolved = load(flags, environ, FILE, disk(text))
    order = [one for one in ("flag", "environment", "file", "foreign") if one in present]
    assert resolved.settings.service.name == (ports[order[0]] if order else "")
    kind = {"foreign": "environment"}.get(order[0], order[0]) if order else "default"
    assert resolved.origins["service.name"].kind == kind


def test_an_origin_names_flag_variable_and_file():
    resolved = load(
        {"service.port": "80"},
        {"PILLION_LOG_LEVEL": "debug", "CONSUL_HTTP_ADDR": "consul:8500"},
        FILE,
        disk("service: {zone: a}"),
    )
    origins = {
        key: str(resolved.origins[key])
        for key in ("service.port", "log.level", "registry.address", "service.zone")
    }
    assert origins == {
        "service.port": "flag --service-port",
        "log.level": "PILLION_LOG_LEVEL",
        "registry.address": "CONSUL_HTTP_ADDR",
        "service.zone": "/etc/pillion.yaml",
    }


def test_the_file_is_the_named_one_else_the_variables_else_the_folders():
    files = Memory(
        {"a.yaml": "service: {zone: a}", "b.yaml": "service: {zone: b}", "pillion.yaml": "service: {zone: c}"}
    )
    environ = {"PILLION_CONFIG": "b.yaml"}
    assert load({}, environ, Path("a.yaml"), files).settings.service.zone == "a"
    assert load({}, environ, None, files).settings.service.zone == "b"
    assert load({}, {}, None, files).settings.service.zone == "c"


@pytest.mark.parametrize(
    ("file", "environ"), [(Path("gone.yaml"), {}), (None, {"PILLION_CONFIG": "gone.yaml"})]
)
def test_a_file_that_was_asked_for_and_is_not_there_is_a_problem(file, environ):
    with pytest.raises(Misconfigured, match=r"gone\.yaml can't be read: No such file"):
        load({}, environ, file, Memory())


def test_all_problems_of_all_sources_come_at_once_each_with_its_source():
    found = problems(
        {"service.port": "70000", "log.level": "loud"},
        {"PILLION_TRAFFIC_TIMEOUT": "soon", "PILLION_SERVICE_TAGS": "[a"},
        "service: {name: Orders, prot: 1}\nregstry: {}\nproxy: 5\ntracing: {sample: 2}\n",
    )
    assert found.keys() == {
        "service.port",
        "log.level",
        "traffic.timeout",
        "service.tags",
        "service.name",
        "service.prot",
        "regstry",
        "proxy",
        "tracing.sample",
    }
    assert (
        found["service.port"]
        == "service.port is 70000 (from flag --service-port); allowed: a whole number from 0 to 65535"
    )
    assert "from flag --log-level" in found["log.level"]
    assert "one of debug, info, warning, error" in found["log.level"]
    assert "from PILLION_TRAFFIC_TIMEOUT" in found["traffic.timeout"]
    assert "250ms, 10s or 5m" in found["traffic.timeout"]
    assert "did you mean port?" in found["service.prot"]
    assert "did you mean registry?" in found["regstry"]


def test_a_value_that_another_overrides_is_still_checked():
    assert "service.port" in problems({"service.port": "80"}, {"PILLION_SERVICE_PORT": "eighty"})


def test_rules_over_several_settings_name_the_source_of_the_setting():
    found = problems({}, {"PILLION_TRAFFIC_PER_TRY_TIMEOUT": "5s"}, "traffic: {timeout: 2s}")
    assert "(from PILLION_TRAFFIC_PER_TRY_TIMEOUT)" in found["traffic.per_try_timeout"]


def test_an_unknown_variable_is_a_warning_with_what_may_be_meant():
    resolved = load(
        {}, {"PILLION_SERVICE_PROT": "80", "SERVICE_PORT": "1", "PILLION_CARRY": "off"}, None, Memory()
    )
    assert [str(one) for one in resolved.warnings] == [
        "PILLION_SERVICE_PROT is not a variable of Pillion; did you mean PILLION_SERVICE_PORT?"
    ]


def test_every_setting_has_a_variable_a_flag_or_is_secret_and_none_collide():
    from agent.config import fields

    settings = fields.all_settings()
    assert len({one.variable for one in settings}) == len(settings)
    flags = [one.flag for one in settings if one.flag]
    assert len(set(flags)) == len(flags)
    assert {one.key for one in settings if not one.flag} == {
        "registry.token",
        "outbox.database",
        "outbox.broker.url",
        "inbox.database",
        "inbox.broker.url",
        "outbox.broker.secret",
    }
    assert all(one.file_key in fields.by_key() for one in settings if one.member.secret)
    assert fields.by_key()["service.health_path"].flag == "--service-health-path"
    assert fields.by_key()["outbox.broker.url"].variable == "PILLION_OUTBOX_BROKER_URL"
    assert all(one.member.description for one in settings)


def test_an_empty_variable_is_an_empty_text_but_no_number():
    environ = {"PILLION_ADMIN_HEALTH": "", "PILLION_SERVICE_TAGS": "", "PILLION_UPSTREAMS": ""}
    settings = load({}, environ, None, Memory()).settings
    assert (settings.admin.health, settings.service.tags, settings.upstreams) == ("", (), {})
    assert "is empty" in problems({}, {"PILLION_SERVICE_PORT": ""})["service.port"]
    assert (
        load({}, {"CONSUL_HTTP_ADDR": ""}, None, Memory()).settings.registry.address
        == "http://127.0.0.1:8500"
    )


@pytest.mark.parametrize(
    ("require", "expected"),
    [
        ("none", set()),
        ("gateway", set()),
        ("sidecar", {"service.name", "service.port"}),
        ("launcher", {"service.name"}),
    ],
)
def test_what_is_needed_depends_on_the_purpose(require, expected):
    try:
        load({}, {}, None, Memory(), require=require)
        found = set()
    except Misconfigured as error:
        found = {problem.key for problem in error.problems}
    assert found == expected


UPSTREAMS = [
    ("orders,inventory", {"orders", "inventory"}),
    ("*", {"*"}),
    ('["orders", "*"]', {"orders", "*"}),
    ('{"orders": {"port": 7001}, "x": null}', {"orders", "x"}),
    ("orders: {}\nx:\n", {"orders", "x"}),
    ("orders:", {"orders"}),
]


@pytest.mark.parametrize(("text", "names"), UPSTREAMS)
def test_upstreams_are_a_list_of_names_a_star_or_a_mapping(text, names):
    assert load({"upstreams": text}, {}, None, Memory()).settings.upstreams.keys() == names
    assert load({}, {"PILLION_UPSTREAMS": text}, None, Memory()).settings.upstreams.keys() == names


@pytest.mark.parametrize("value", [["orders", "x"], "orders, x", {"orders": None, "x": {}}])
def test_upstreams_in_a_file_are_as_in_a_flag(value):
    text = yaml.safe_dump({"upstreams": value})
    assert load({}, {}, FILE, disk(text)).settings.upstreams.keys() == {"orders", "x"}


def test_structured_values_fit_into_one_text():
    environ = {
        "PILLION_OUTBOX_TABLES": '[{"table": "outbox", "columns": {"key": "k"}}]',
        "PILLION_OUTBOX_DATABASE": "postgresql://u:p@h/d",
        "PILLION_OUTBOX_BROKER_URL": "nats://h:4222",
        "PILLION_SERVICE_META": "a=1, b=x=y",
        "PILLION_VERSIONS_SERVES": "v1, v2.1",
        "PILLION_VERSIONS_DEPRECATED": "v1: {since: 2026-11-01}",
    }
    settings = load({}, environ, None, Memory()).settings
    assert settings.outbox.tables[0].columns == {"key": "k"}
    assert settings.service.meta == {"a": "1", "b": "x=y"}
    assert settings.versions.serves == ("v1", "v2.1")
    assert settings.versions.deprecated["v1"].since == "2026-11-01"


def test_traffic_of_an_upstream_is_read_as_traffic_is():
    settings = load(
        {}, {}, FILE, disk("upstreams: {orders: {traffic: {timeout: 250ms, retries: 1}}}")
    ).settings
    assert settings.upstreams["orders"].traffic == {"timeout": 0.25, "retries": 1}
    found = problems({}, {}, "upstreams: {orders: {traffic: {timeouts: 1, retries: 99}}}")
    assert "did you mean timeout?" in found["upstreams.orders.traffic.timeouts"]
    assert "from 0 to 10" in found["upstreams.orders.traffic.retries"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (one, one in {"true", "1", "yes", "on", "TRUE"})
        for one in ("true", "1", "yes", "on", "TRUE", "false", "0", "no", "off")
    ],
)
def test_booleans_in_variables(text, value):
    assert load({}, {"PILLION_TRACING_CARRY": text}, None, Memory()).settings.tracing.carry is value


def test_a_flag_may_be_a_boolean_already():
    assert load({"tracing.carry": False}, {}, None, Memory()).settings.tracing.carry is False


@pytest.mark.parametrize(
    "given",
    [
        {"environ": {"PILLION_TRACING_OPERATION": b"caf\xe9".decode(errors="surrogateescape")}},
        {"text": r'{tracing: {operation: "\ud800"}}'},
        {"flags": {"tracing.operation": "\udfff"}},
    ],
)
def test_half_a_character_is_refused(given):
    """Envoy takes no text with it, and would refuse all else together with it."""
    assert "half a character" in problems(**given)["tracing.operation"]
