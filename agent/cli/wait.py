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
    deadline, told = time.monotonic() + timeout, ""
    while True:
        left = deadline - time.monotonic()
        try:
            last = told = look(where, max(LEAST, min(MOST, left)))
        except Transient as error:
            last = f"{error} Before, it said: {told}" if told else str(error)
        if not last:
            return
        if time.monotonic() + INTERVAL > deadline:
            raise Transient(f"the agent at {where} was not ready within {timeout:g} s: {last}")
        time.sleep(INTERVAL)


def look(where: Address, timeout: float) -> str:
    """Why the agent is not ready, empty when it is; raises Transient when none answers."""
    answer = reach.call(where, "/readyz", timeout=timeout)
    if answer.status == 200:
        return ""
    return "; ".join(answer.body.split("\n")).strip("; ") or f"it answered with {answer.status}"
