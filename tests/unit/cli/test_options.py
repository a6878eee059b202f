"""Flags come from declarations, and a command gets the resolved settings."""

import click
import pytest
from click.testing import CliRunner

from agent.cli.options import SettingsCommand, settings_options
from agent.config import fields
from agent.runtime.errors import Misconfigured


@click.command(cls=SettingsCommand)
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED)
@settings_options(require=lambda given: "launcher" if given["cmd"] else "sidecar")
def command(resolved, cmd):
    """Run the agent beside a service."""
    service, tracing = resolved.settings.service, resolved.settings.tracing
    click.echo(f"{service.name} {service.port} {tracing.carry} {list(cmd)}")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner(env=dict.fromkeys(("PILLION_CONFIG", "OTEL_SERVICE_NAME", "CONSUL_HTTP_ADDR")))
    return lambda *arguments, **more: runner.invoke(command, list(arguments), **more)


def test_flags_environment_and_file_come_together(run, tmp_path):
    (tmp_path / "pillion.yaml").write_text("service: {name: filed, port: 1}\ntracing: {carry: false}\n")
    assert run().output == "filed 1 False []\n"
    assert run(env={"PILLION_SERVICE_PORT": "2"}).output == "filed 2 False []\n"
    assert (
        run("--service-port", "3", "--tracing-carry", env={"PILLION_SERVICE_PORT": "2"}).output
        == "filed 3 True []\n"
    )
    (tmp_path / "other.yaml").write_text("service: {name: other, port: 4}")
    assert run("--config", "other.yaml", "--no-tracing-carry").output == "other 4 False []\n"


def test_the_services_command_stays_as_it_is(run):
    result = run("--service-name", "x", "--", "flask", "run", "--config", "f", "--service-name", "y")
    assert result.output == "x 0 True ['flask', 'run', '--config', 'f', '--service-name', 'y']\n"


def test_what_is_wrong_ends_the_command_before_it_begins(run):
    result = run("--service-port", "x")
    assert isinstance(result.exception, Misconfigured)
    assert {one.key for one in result.exception.problems} == {"service.port"}
    assert {one.key for one in run().exception.problems} == {"service.name", "service.port"}


def test_warnings_go_to_standard_error(run):
    result = run("--service-name", "x", "--service-port", "1", env={"PILLION_SERVICE_PROT": "1"})
    assert result.exit_code == 0
    assert (
        "warning: PILLION_SERVICE_PROT is not a variable of Pillion; did you mean PILLION_SERVICE_PORT?"
        in result.stderr
    )
    assert "warning" not in result.stdout


def test_help_names_every_flag_with_its_default_and_every_secret(run):
    text = run("--help").stdout
    for setting in fields.all_settings():
        assert (setting.flag or setting.variable) in text
    assert (
        text.index("Settings used most:")
        < text.index("--service-name")
        < text.index("The service beside this agent:")
    )
    assert "[5m]" in text
    assert "[512MiB]" in text
    assert "--registry-token " not in text


def test_only_the_wanted_sections_get_flags():
    @click.command(cls=SettingsCommand)
    @settings_options(("log",))
    def small(resolved):
        click.echo(resolved.settings.log.level)

    assert CliRunner().invoke(small, ["--log-level", "debug"]).output == "debug\n"
    text = CliRunner().invoke(small, ["--help"]).output
    assert "--service-name" not in text
    assert "PILLION_REGISTRY_TOKEN" not in text
