"""``pillion envoy``: what Envoy would be given."""

import asyncio
import json
import shlex
import subprocess
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

from agent.cli import reach
from agent.cli.errors import warn
from agent.cli.options import SettingsCommand, settings_options
from agent.config import sources
from agent.config.place import Place
from agent.config.settings import Settings
from agent.demo import components
from agent.model.catalog import Catalog, Service
from agent.proxy import assets
from agent.proxy.bootstrap import Node, bootstrap
from agent.proxy.command import find, flags_of
from agent.proxy.external import admin_at
from agent.proxy.planner import Fragments, plan, plan_gateway, static_bootstrap, tls
from agent.proxy.snapshot import Resource, Snapshot
from agent.registry import decode, remembered, selection
from agent.registry.client import Client, connect
from agent.runtime.errors import Misconfigured, Permanent, PillionError, Problem
from agent.runtime.words import words
from agent.wiring.gateway_given import with_keys

WITHIN = 5.0
"""Seconds for Consul to tell its services."""
VALIDATION = 30.0
"""Seconds for Envoy to check a configuration."""

catalog_option = click.option(
    "--catalog",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A catalogue that an agent left in its state folder, instead of asking Consul.",
)
gateway_option = click.option("--gateway", is_flag=True, help="The gateway's configuration.")
form_option = click.option(
    "--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True
)


@click.group()
def command() -> None:
    """What Envoy would be given with these settings. Nothing is started or changed."""


@command.command(cls=SettingsCommand)
@catalog_option
@gateway_option
@form_option
@click.option("--static", is_flag=True, help="As one bootstrap that Envoy can run with by itself.")
@settings_options()
def render(resolved: sources.Resolved, catalog: Path | None, gateway: bool, form: str, static: bool) -> None:
    """Print clusters, endpoints, listeners and routes, planned from these settings and Consul's services.

    Consul is asked once; when it does not answer, what the agent with this state folder knew last is used.
    """
    settings, fragments, snapshot = planned(resolved.settings, catalog, gateway)
    if static:
        whole = static_bootstrap(
            snapshot, started_with(settings, fragments, gateway), secrets(settings, gateway)
        )
        show(whole, form)
        return
    parts = ("clusters", "endpoints", "listeners", "routes")
    show({part: dict(getattr(snapshot, part)) for part in parts}, form)


@command.command(cls=SettingsCommand)
@catalog_option
@gateway_option
@settings_options()
def validate(resolved: sources.Resolved, catalog: Path | None, gateway: bool) -> None:
    """Show the configuration to Envoy itself (`--mode validate`).

    Ends with 1 and Envoy's words if it refuses.
    """
    settings, fragments, snapshot = planned(resolved.settings, catalog, gateway)
    binary = find(settings.proxy.envoy, partial(components.find, "envoy"))
    with tempfile.TemporaryDirectory() as folder:
        started = started_with(settings, fragments, gateway, Path(folder))
        whole = static_bootstrap(snapshot, started, secrets(settings, gateway))
        file = Path(folder) / "envoy.json"
        file.write_bytes(msgspec.json.encode(whole))
        checked(binary, file)
    counts = f"{len(snapshot.listeners)} listeners, {len(snapshot.clusters)} clusters"
    click.echo(f"Envoy accepts it: {counts} (snapshot {snapshot.hash})")


@command.command("bootstrap", cls=SettingsCommand)
@gateway_option
@form_option
@settings_options()
def print_bootstrap(resolved: sources.Resolved, gateway: bool, form: str) -> None:
    """Print what Envoy is started with: who it is, where its admin socket and the agent's socket are.

    For an Envoy that someone else runs (proxy.mode external) this is its configuration file.
    """
    settings = resolved.settings
    if settings.proxy.mode == "external" and form == "yaml":
        flags = shlex.join(flags_of(settings.proxy.drain_time))
        click.echo(f"# envoy --config-path FILE --concurrency {settings.proxy.concurrency} {flags}")
    show(started_with(settings, assets.load(settings.proxy.assets_dir), gateway), form)


def secrets(settings: Settings, gateway: bool) -> list[Resource]:
    """What the listeners name, by its files: no key is ever printed."""
    return tls.in_files(settings) if gateway else []


def show(content: Resource, form: str) -> None:
    """Print plain data in the asked form."""
    if form == "json":
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        click.echo(yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True), nl=False)


class _Dumper(yaml.SafeDumper):
    """YAML without references: equal parts are written out."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - yaml's signature
        return True


def planned(settings: Settings, file: Path | None, gateway: bool) -> tuple[Settings, Fragments, Snapshot]:
    """The settings with the ports that are known, the fragments, and the plan of it all."""
    place = reach.placed(settings, gateway)
    settings = reach.with_ports(settings, place)
    fragments = assets.load(settings.proxy.assets_dir)
    catalog = given(file) if file else asyncio.run(read(settings, place))
    if gateway:
        settings = with_keys(settings)
        return settings, fragments, plan_gateway(settings, catalog, fragments)
    return settings, fragments, plan(settings, catalog, fragments)


def started_with(
    settings: Settings, fragments: Fragments, gateway: bool, folder: Path | None = None
) -> Resource:
    """The bootstrap; with its sockets in ``folder`` instead of the state folder."""
    place = Place(folder) if folder else reach.placed(settings, gateway)
    place = replace(place, folder=place.folder.absolute())
    name = "gateway" if gateway else settings.service.name or "service"
    return bootstrap(
        fragments.copy("bootstrap"),
        node=Node(name, name, settings.service.zone),
        admin=place.admin if folder else admin_at(settings.proxy.admin, place.admin),
        xds=place.xds,
        otlp=settings.tracing.endpoint,
        heap_limit=settings.proxy.heap_limit,
        shared=place.shared,
    )


def given(file: Path) -> Catalog:
    """The catalogue in a file that somebody named. Raises Misconfigured for what is none."""
    try:
        found = remembered.parse(file.read_bytes())
    except OSError as error:
        raise Misconfigured(
            [Problem("--catalog", f"is {file}, which can't be read: {words(error)}")]
        ) from error
    if found is None:
        allowed = "catalog.json of an agent's state folder (state.dir)"
        raise Misconfigured(
            [Problem("--catalog", f"is {file}, which is no whole catalogue of an agent", allowed)]
        )
    return _catalog(found)


def known(file: Path) -> Catalog:
    """The catalogue that an agent left on disk; empty where there is none."""
    return _catalog(remembered.load(file))


def last(place: Place) -> str:
    """What an agent left behind, as the end of a sentence."""
    if place.catalog.exists():
        return f"what was known last is used ({place.catalog})"
    return f"no agent has left a catalogue in {place.catalog}, so no other service is known"


def _catalog(found: remembered.Remembered) -> Catalog:
    return Catalog(
        {
            name: Service(name, one.passing, one.routes, one.namespaces)
            for name, one in sorted(found.services.items())
        }
    )


async def read(settings: Settings, place: Place) -> Catalog:
    """The catalogue as Consul tells it now, else as it was known last."""
    try:
        async with asyncio.timeout(WITHIN), connect(settings.registry) as client:
            return await ask(client, settings)
    except (PillionError, TimeoutError) as error:
        reason = str(error) or f"no answer within {WITHIN:g} s"
        warn(f"Consul was not read ({reason}); {last(place)}")
        return await asyncio.to_thread(known, place.catalog)


async def ask(client: Client, settings: Settings) -> Catalog:
    """The wanted services, as Consul tells them now."""
    wanted = frozenset(settings.upstreams) - {"*"}
    left_out: tuple[str, ...] = ()
    if "*" in settings.upstreams:
        _, names = await client.services()
        chosen = selection.choose(wanted, frozenset(filter(decode.usable, names)), wanted)
        wanted, left_out = frozenset(chosen.names), chosen.left_out
    services = {}
    for name in sorted(wanted):
        _, rows = await client.instances(name)
        found = decode.reading(name, rows)
        services[name] = Service(name, found.passing, found.routes, found.namespaces)
    return Catalog(services, left_out)


def checked(binary: Path, file: Path) -> None:
    """Let Envoy check a bootstrap; raises Permanent with its words when it refuses."""
    argv = [str(binary), "--mode", "validate", "-c", str(file), "--log-level", "error"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=VALIDATION, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        said = (
            f"no end after {VALIDATION:g} s" if isinstance(error, subprocess.TimeoutExpired) else words(error)
        )
        raise Permanent(
            f"running {binary} to validate failed: {said}; give an Envoy as proxy.envoy"
        ) from error
    if done.returncode != 0:
        raise Permanent(f"Envoy refuses it:\n{(done.stderr or done.stdout).strip()[-4000:]}")
