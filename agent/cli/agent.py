"""The hidden command that the supervisor runs: the agent itself."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Mapping
from functools import partial
from importlib import metadata
from pathlib import Path

import click
import structlog
import uvloop

from agent.cli import logs
from agent.cli.launch import prepared
from agent.cli.options import SettingsCommand, settings_options
from agent.cli.told import until_told
from agent.config import sources
from agent.config.bound import bound
from agent.config.checks import check
from agent.config.place import Place
from agent.config.settings import Settings
from agent.demo import components
from agent.proxy import command as envoy
from agent.runtime import memory
from agent.runtime.health import Board
from agent.runtime.ports import PortBook
from agent.runtime.runtime import Runtime
from agent.runtime.supervisor import Supervisor
from agent.wiring import stories

log = structlog.get_logger(__name__)

BEGUN = 3.0
"""Seconds that a stop waits for a start that is under way."""


@click.command(cls=SettingsCommand, hidden=True)
@click.option("--gateway", "is_gateway", is_flag=True)
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED)
@settings_options(quiet=True)
def command(resolved: sources.Resolved, is_gateway: bool, cmd: tuple[str, ...]) -> int:
    """The agent, started by its supervisor, whose socket's number ends the arguments."""
    memory.thrifty()
    *service, _, descriptor = cmd
    logs.set_up(resolved.settings.log)
    place = prepared(resolved.settings, "gateway" if is_gateway else "")
    settings = bound(resolved.settings, PortBook(place.ports).keep)
    check(settings, "gateway" if is_gateway else "launcher" if service else "sidecar")
    environ = resolved.inherited(os.environ)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(
            _live(
                settings, place, environ,
                descriptor=int(descriptor), service=tuple(service), is_gateway=is_gateway,
            )
        )  # fmt: skip


async def _live(
    settings: Settings,
    place: Place,
    environ: Mapping[str, str],
    *,
    descriptor: int,
    service: tuple[str, ...],
    is_gateway: bool,
) -> int:
    board = Board(time.time)
    async with Supervisor(descriptor) as supervisor:
        around = stories.Around(
            settings, place, supervisor, _binary(settings),
            socket.gethostname(), environ, metadata.version("pillion"), os.getpid(),
        )  # fmt: skip
        parts = stories.gateway(around, board) if is_gateway else stories.sidecar(around, service, board)
        async with parts as story:
            await until_told(story, board, partial(_farewell, supervisor))
    return 0


def _binary(settings: Settings) -> Path | None:
    if settings.proxy.mode == "external":
        return None
    return envoy.find(settings.proxy.envoy, partial(components.find, "envoy"))


async def _farewell(supervisor: Supervisor, runtime: Runtime) -> None:
    await supervisor.refresh()
    await _begun(runtime, supervisor.leaving.value)
    log.info("agent.stopping", leaving=supervisor.leaving.value)


async def _begun(runtime: Runtime, leaving: bool) -> None:
    """Let a start come to its end first, for a moment: what did not start can't take its part in leaving."""
    if leaving:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEGUN):
                await runtime.started.until(bool)
