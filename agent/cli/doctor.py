"""``pillion doctor``: looks at everything that must work and says of each problem what to do."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from agent.cli import reach
from agent.cli.errors import FAILED
from agent.config import sources
from agent.config.disk import LocalDisk
from agent.config.settings import Settings
from agent.doctor import report
from agent.doctor.examine import examine
from agent.doctor.finding import Finding, Level, ok, problem, warning
from agent.model.address import Address
from agent.runtime.errors import Misconfigured
from agent.wiring import doctor
from agent.wiring.doctor_machine import machine

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File of settings. Default: PILLION_CONFIG, else ./pillion.yaml where it exists.",
)
@click.option(
    "--kubernetes",
    is_flag=True,
    help="Look at a cluster of Kubernetes instead of this machine: by kubectl, in a pod by its service account.",
)
@click.option(
    "--context",
    default="",
    metavar="NAME",
    help="The kubeconfig's context; with --kubernetes. Default: its current one.",
)
@click.option("--gateway", is_flag=True, help="As a gateway needs it, instead of an agent beside a service.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with everything.")
def command(config: Path | None, kubernetes: bool, context: str, gateway: bool, as_json: bool) -> int:
    """Look at everything that must work; say what was found, and what to do about each problem.

    An agent that runs here with these settings is asked; without one it is looked at what it would find. Nothing is
    started or changed. Ends with 1 when there is a problem; warnings are none.

    \b
    pillion doctor                                 this machine: settings, agent, Consul, Envoy, ports, disk, …
    pillion doctor --kubernetes                    the cluster of the current kubeconfig
    """
    if context and not kubernetes:
        raise click.UsageError("--context is of --kubernetes")
    if gateway and kubernetes:
        raise click.UsageError("--gateway is of this machine, --kubernetes of a cluster: give one")
    if kubernetes:
        settings = sources.load({}, os.environ, config, LocalDisk()).settings
        findings = asyncio.run(_cluster(context, settings))
    else:
        findings = _machine(config, gateway)
    show(findings, as_json)
    return 0 if report.is_well(findings) else FAILED


async def _cluster(context: str, settings: Settings) -> Sequence[Finding]:
    async with doctor.api(context, settings, os.environ) as api, doctor.cluster(api) as checks:
        return await examine(checks)


def _machine(config: Path | None, gateway: bool) -> Sequence[Finding]:
    todo = "See docs/settings.md; `pillion config check FILE` tells the same."
    try:
        resolved = sources.load({}, os.environ, config, LocalDisk())
    except Misconfigured as error:
        wrong = [problem("settings.valid", "the settings", str(one), todo) for one in error.problems]
        return [*wrong, *(warning("settings.valid", "the settings", str(one), todo) for one in error.odd)]
    odd = [warning("settings.valid", "the settings", str(one), todo) for one in resolved.warnings]
    place = reach.placed(resolved.settings, gateway)
    settings = reach.with_ports(resolved.settings, place)
    found = asyncio.run(examine(machine(settings, place, _where(settings), gateway=gateway)))
    return [*(odd or [ok("settings.valid", "the settings", "nothing is wrong with them")]), *found]


def _where(settings: Settings) -> str:
    """Where the agent is asked; empty when its port is a free one and nobody left word which."""
    return str(reach.find(settings, None)) if Address.parse(settings.admin.listen).port else ""


def show(findings: Sequence[Finding], as_json: bool) -> None:
    """Print them."""
    if as_json:
        click.echo(json.dumps(report.data(findings), indent=2, ensure_ascii=False))
        return
    for level, line in report.lines(findings):
        colour = COLOURS.get(level)
        click.echo(click.style(line, fg=colour) if colour and level is not Level.OK else line)
    click.echo(report.summary(findings))
    sys.stdout.flush()
