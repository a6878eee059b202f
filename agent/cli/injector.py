"""``pillion injector``: the Kubernetes admission webhook."""

import asyncio
import importlib
import os
import socket
import time

import click
import structlog
import uvloop

from agent.cli import logs
from agent.cli.options import SettingsCommand, settings_options
from agent.cli.told import until_told
from agent.config import sources
from agent.config.settings import Settings
from agent.runtime.errors import Misconfigured, Problem
from agent.runtime.health import Board
from agent.runtime.runtime import Runtime

log = structlog.get_logger(__name__)

SECTIONS = ("injector", "webhook", "admin", "log", "registry", "kubernetes")


@click.command(cls=SettingsCommand)
@settings_options(SECTIONS)
def command(resolved: sources.Resolved) -> None:
    """Answer the API server's admission reviews: pods that are to be in the mesh get the sidecar. For a pod in the
    cluster; the chart runs it.

    \b
    pillion injector --webhook-configuration pillion-injector
    """
    logs.set_up(resolved.settings.log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_live(resolved.settings))


async def _live(settings: Settings) -> None:
    """A single process without a supervisor: there is no Envoy and no service that would have to outlive it."""
    board = Board(time.time)
    try:
        wiring = importlib.import_module("agent.wiring.injector")
    except ImportError as error:
        wrong = f"needs {error.name}, which is not installed: pip install 'pillion[kubernetes]'"
        raise Misconfigured([Problem("pillion injector", wrong)]) from error
    async with wiring.injector(settings, os.environ, socket.gethostname(), board) as story:
        await until_told(story, board, _farewell)


async def _farewell(_: Runtime) -> None:
    log.info("injector.stopping")
