"""pillion config."""

import json

import pytest
from click.testing import CliRunner

from agent.cli.config import command
from agent.config.schema import schema
from agent.runtime.errors import Misconfigured

SECRET = "hunter2-hunter2"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner(env=dict.fromkeys(("PILLION_CONFIG", "OTEL_SERVICE_NAME", "CONSUL_HTTP_ADDR")))
    return lambda *arguments, **more: runner.invoke(command, list(arguments), **more)


def row(output: str, key: str) -> str:
    return next(line for line in output.splitlines() if line[2:].startswith(f"{key} "))


def test_show_says_where_each_value_came_from(run, tmp_path):
    (tmp_path / "pillion.yaml").write_text("service: {zone: a}\n")
    output = run(
        "show", "--service-port", "80", env={"PILLION_LOG_LEVEL": "debug", "CONSUL_HTTP_ADDR": "c:1"}
    ).stdout
    assert row(output, "service.port").split() == ["*", "service.port", "80", "flag", "--service-port"]
    assert row(output, "log.level").split() == ["*", "log.level", "debug", "PILLION_LOG_LEVEL"]
    assert row(output, "registry.address").split() == ["*", "registry.address", "c:1", "CONSUL_HTTP_ADDR"]
    assert row(output, "service.zone").split() == ["*", "service.zone", "a", "pillion.yaml"]
    assert row(output, "traffic.idle_timeout").split() == ["traffic.idle_timeout", "5m", "default"]
    assert len(run("show", "--changed", "--service-port", "80").stdout.splitlines()) == 2


def test_show_as_json_is_complete(run):
    found = json.loads(run("show", "--json", "--service-port", "80").stdout)
    assert found["service.port"] == {"value": 80, "origin": "flag", "from": "--service-port"}
    assert found["upstreams"]["value"].keys() == {"*"}
    assert found["traffic.retries"]["origin"] == "default"


@pytest.mark.parametrize("form", [(), ("--json",), ("--changed",)])
def test_show_masks_secrets_and_credentials_in_urls(run, tmp_path, form):
    (tmp_path / "token").write_text(SECRET)
    environ = {
        "PILLION_OUTBOX_DATABASE": f"postgresql://u:{SECRET}@h/d",
        "PILLION_OUTBOX_BROKER_URL": f"nats://{SECRET}@h",
        "PILLION_REGISTRY_TOKEN_FILE": "token",
        "PILLION_SERVICE_TAGS": f"http://u:{SECRET}@h",
        "PILLION_SERVICE_META": f"a=http://u:{SECRET}@h",
        "PILLION_TRACING_OPERATION": f"http://u:{SECRET}@h",
    }
    result = run("show", *form, env=environ)
    assert result.exit_code == 0
    assert SECRET not in result.output
    assert "***" in result.stdout


def test_check_says_ok_or_all_problems(run, tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("service: {name: orders}\n")
    assert run("check", "p.yaml").stdout == "p.yaml: ok\n"
    result = run("check", "p.yaml", "--for", "sidecar")
    assert [one.key for one in result.exception.problems] == ["service.port"]
    file.write_text("service: {nam: x, port: -1}\ntraffic: {timeout: 1s, retries: x}\n")
    result = run("check", "p.yaml")
    assert isinstance(result.exception, Misconfigured)
    assert [one.key for one in result.exception.problems] == [
        "service.nam",
        "service.port",
        "traffic.retries",
    ]


def test_check_does_not_look_at_the_environment(run, tmp_path):
    (tmp_path / "p.yaml").write_text("")
    assert run("check", "p.yaml", env={"PILLION_SERVICE_PORT": "x"}).stdout == "p.yaml: ok\n"


def test_check_of_a_missing_file_says_so(run):
    assert "gone.yaml can't be read: No such file" in str(run("check", "gone.yaml").exception)


def test_schema_is_printed_as_json(run):
    assert json.loads(run("schema").stdout) == schema()
