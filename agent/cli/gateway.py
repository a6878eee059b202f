"""``pillion gateway``: one address in front of all services."""

import click

from agent.cli.launch import launch
from agent.cli.options import SettingsCommand, settings_options
from agent.config import sources

SECTIONS = (
    "gateway",
    "registry",
    "proxy",
    "traffic",
    "upstreams",
    "versions",
    "tracing",
    "admin",
    "log",
    "state",
    "service",
)


@click.command(cls=SettingsCommand)
@settings_options(SECTIONS, require="gateway")
def command(resolved: sources.Resolved) -> None:
    """Run one address (port 10000) in front of all services: their published routes, else /SERVICE/….

    \b
    pillion gateway --registry-address http://127.0.0.1:8500
    """
    launch(resolved.settings, kind="gateway")
