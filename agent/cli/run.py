"""``pillion run``: the agent beside a service."""

import click

from agent.cli.launch import launch
from agent.cli.options import SettingsCommand, settings_options
from agent.config import sources


@click.command(cls=SettingsCommand)
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD…]")
@settings_options(require=lambda given: "launcher" if given["cmd"] else "sidecar")
def command(resolved: sources.Resolved, cmd: tuple[str, ...]) -> None:
    """Put a service into the mesh: register it, carry its traffic through Envoy, relay its events.

    With CMD behind `--` the service is started too, with the environment that it needs: PORT, HTTP_PROXY,
    its configuration, the hook that carries traces. Its end ends everything, with its exit code.

    \b
    pillion run --service-name orders -- gunicorn app:app
    pillion run --service-name orders --service-port 8000        the service is started by someone else
    """
    launch(resolved.settings, cmd)
