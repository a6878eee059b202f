"""``pillion wait``: until the agent is ready."""

import time

import click

from agent.cli import reach
from agent.cli.durations import duration
from agent.cli.options import SettingsCommand, settings_options
from agent.config import sources
from agent.model.address import Address
from agent.runtime.errors import Transient

INTERVAL = 0.2
"""Seconds between two looks."""
LEAST, MOST = 1.0, 5.0
"""Seconds that an answer may take. Also the last look has the least: one that is cut off sooner would say of an agent
that told its reasons before that none answers."""


@click.command(cls=SettingsCommand)
@click.option(
    "--timeout",
    callback=duration,
    default="60s",
    show_default=True,
    metavar="DURATION",
    help="How long to wait.",
)
@click.option("--address", metavar="HOST:PORT", help="Where the agent listens. Default: admin.listen.")
@settings_options(reach.SECTIONS)
def command(resolved: sources.Resolved, timeout: float, address: str | None) -> None:
    """Wait until the agent is ready: for a container's start-up hook. Ends with 1 when it is not in time."""
    where = reach.find(resolved.settings, address)
    deadline = time.monotonic() + timeout
    while True:
        left = deadline - time.monotonic()
        last = look(where, max(LEAST, min(MOST, left)))
        if last is None:
            return
        if time.monotonic() + INTERVAL > deadline:
            raise Transient(f"the agent at {where} was not ready within {timeout:g} s: {last}")
        time.sleep(INTERVAL)


def look(where: Address, timeout: float) -> str | None:
    """Why the agent is not ready; None when it is."""
    try:
        answer = reach.call(where, "/readyz", timeout=timeout)
    except Transient as error:
        return str(error)
    return None if answer.status == 200 else "; ".join(answer.body.split("\n")).strip("; ")
