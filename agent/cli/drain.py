"""``pillion drain``: take the instance out of traffic before it stops."""

import click

from agent.cli import reach
from agent.cli.options import SettingsCommand, settings_options
from agent.config import sources
from agent.runtime.errors import Transient

SECTIONS = (*reach.SECTIONS, "proxy", "registry")
MARGIN = 5.0
"""Seconds beyond what the drain itself may take."""


@click.command(cls=SettingsCommand)
@click.option("--begin", is_flag=True, help="Return at once; the drain goes on.")
@click.option("--address", metavar="HOST:PORT", help="Where the agent listens. Default: admin.listen.")
@settings_options(SECTIONS)
def command(resolved: sources.Resolved, begin: bool, address: str | None) -> None:
    """Take the instance out of traffic: critical in Consul, no new requests, then wait for those in flight.

    For a container's pre-stop hook. Ends with 1 when requests were still in flight after proxy.drain_time.
    """
    settings = resolved.settings
    where = reach.find(settings, address)
    allowed = settings.registry.spread + settings.proxy.drain_time + MARGIN
    path = "/drain" if begin else "/drain?wait=1"
    answer = reach.call(where, path, method="POST", timeout=allowed)
    said = answer.data()
    if answer.status != 200:
        raise Transient(f"draining failed: {said.get('problem', answer.status)}")
    if not begin and not said.get("drained"):
        raise Transient(f"requests were still in flight after {settings.proxy.drain_time:g} s")
