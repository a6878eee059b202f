"""``pillion explain``: what a request would meet, and why."""

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from agent.cli import explain_words, reach
from agent.cli.errors import FAILED
from agent.cli.options import SettingsCommand, settings_options
from agent.cli.planned import world
from agent.config import sources
from agent.config.settings import Settings
from agent.proxy.explain import GOOD, Ask, Side, explain, parts
from agent.runtime.errors import Misconfigured, PillionError, Transient


@click.command(cls=SettingsCommand)
@click.argument("method")
@click.argument("url")
@click.option(
    "-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of the request."
)
@click.option("--gateway", is_flag=True, help="As the gateway sees it; a path is enough.")
@click.option("--inbound", is_flag=True, help="As the service's own inbound sees it; a path is enough.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with everything.")
@click.option("--address", metavar="HOST:PORT", help="Where the agent listens. Default: admin.listen.")
@click.option(
    "--catalog",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A catalogue that an agent left in its state folder, instead of asking an agent or Consul.",
)
@settings_options()
def command(
    resolved: sources.Resolved,
    *,
    method: str,
    url: str,
    headers: tuple[str, ...],
    gateway: bool,
    inbound: bool,
    as_json: bool,
    address: str | None,
    catalog: Path | None,
) -> int:
    """Which listener, route, version, cluster and instances a request would meet, and why. Nothing is sent.

    The agent that runs here is asked; without one, what it would plan from Consul, else from what is on disk.
    Ends with 0 when the request gets somewhere, 1 when it is refused or no instance is there for it.

    \b
    pillion explain GET http://orders/api/v2/x                 as the service's own requests leave
    pillion explain GET /orders/x --gateway -H 'X-API-Version: 2'
    """
    if gateway and inbound:
        raise click.UsageError("--gateway and --inbound are two doors: give one")
    side = Side.GATEWAY if gateway else Side.INBOUND if inbound else Side.OUTBOUND
    ask = Ask(method, url, tuple(map(_header, headers)), side)
    try:
        parts(ask)
    except PillionError as error:
        raise click.UsageError(str(error)) from error
    told = _told(ask, resolved.settings, address, catalog)
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        for line in explain_words.lines(told):
            click.echo(line)
    return 0 if told["outcome"] in GOOD else FAILED


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.UsageError(f"{text!r} is no header: write 'NAME: VALUE'")
    return name.strip(), value.strip()


def _told(ask: Ask, settings: Settings, address: str | None, catalog: Path | None) -> dict[str, Any]:
    why = ""
    if catalog is None:
        try:
            return _by_agent(ask, settings, address)
        except (Transient, Misconfigured) as error:
            if address:
                raise
            why = str(error)
    try:
        known, source = world(
            settings, catalog, gateway=ask.side is Side.GATEWAY, needed=ask.side is not Side.INBOUND
        )
    except Transient as error:
        raise Transient(f"nothing is known of other services: {why}; {error}") from error
    told = explain(ask, known)
    return {**told, "source": source, "snapshot": known.snapshot.hash, "no_agent": why}


def _by_agent(ask: Ask, settings: Settings, address: str | None) -> dict[str, Any]:
    """The running agent's word; raises Transient where none can give it."""
    where = reach.find(settings, address)
    answer = reach.call(where, "/v1/explain", method="POST", body=msgspec.json.encode(ask))
    found = answer.data() if answer.status in (200, 409) else {}
    if answer.status != 200:
        said = found.get("problem") or f"it answers {answer.status}, as an older agent does"
        raise Transient(f"the agent at {where} can't tell: {said}")
    if not isinstance(found, dict) or "outcome" not in found:
        raise Transient(f"what answers at {where} is no Pillion agent: name the agent's own --address")
    return {**found, "source": f"the agent at {where}"}
