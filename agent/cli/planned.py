"""What would be planned with these settings where no agent can be asked: from Consul, else from disk."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

from agent.cli import envoy, reach
from agent.cli.errors import warn
from agent.config import live
from agent.config.place import Place
from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.proxy import assets
from agent.proxy.explain import World
from agent.proxy.planner import plan, plan_gateway
from agent.registry.client import connect
from agent.runtime.errors import Misconfigured, PillionError, Transient
from agent.wiring.gateway_given import with_keys


@dataclass(frozen=True)
class Known:
    """A catalogue, the live override with it, and where both are from."""

    catalog: Catalog | None
    """None where nobody has ever known one."""
    override: bytes | None
    source: str


def world(settings: Settings, file: Path | None, *, gateway: bool, needed: bool = True) -> tuple[World, str]:
    """What an agent with these settings would know and plan now, and where the catalogue is from.

    Raises Transient where there is none to be had and one is ``needed``.
    """
    place = reach.placed(settings, gateway)
    settings = reach.with_ports(settings, place)
    known = (
        Known(envoy.given(file), None, str(file)) if file else asyncio.run(_known(settings, place, gateway))
    )
    if known.catalog is None and needed:
        raise Transient(known.source)
    catalog = known.catalog or Catalog()
    if known.override is not None:
        settings = _overridden(settings, known.override, _key(settings, gateway), everyone=gateway)
    fragments = assets.load(settings.proxy.assets_dir)
    if gateway:
        settings = with_keys(settings)
        snapshot = plan_gateway(settings, catalog, fragments)
    else:
        snapshot = plan(settings, catalog, fragments, (socket.gethostname(),))
    return World(settings, catalog, snapshot), known.source


async def _known(settings: Settings, place: Place, gateway: bool) -> Known:
    try:
        async with asyncio.timeout(envoy.WITHIN), connect(settings.registry) as client:
            catalog = await envoy.ask(client, settings)
            override = (await client.value(_key(settings, gateway)))[1]
    except (PillionError, TimeoutError) as error:
        reason = str(error) or f"no answer within {envoy.WITHIN:g} s"
        return await asyncio.to_thread(_remembered, place, reason)
    return Known(catalog, override, f"Consul at {settings.registry.address}")


def _remembered(place: Place, reason: str) -> Known:
    override = None
    with contextlib.suppress(OSError):
        override = place.overrides.read_bytes()
    if not place.catalog.exists():
        return Known(None, override, f"Consul was not read: {reason}; no agent has left {place.catalog}")
    source = f"what was known last ({place.catalog}), as Consul was not read: {reason}"
    return Known(envoy.known(place.catalog), override, source)


def _key(settings: Settings, gateway: bool) -> str:
    """Where the live override of such an agent is in Consul's KV."""
    return f"pillion/{settings.service.name or ('gateway' if gateway else 'service')}"


def _overridden(settings: Settings, document: bytes, key: str, *, everyone: bool) -> Settings:
    try:
        return live.override(settings, document, key, everyone=everyone)
    except Misconfigured as error:
        warn(f"the live override in {key} is left out, as an agent would refuse it: {error}")
        return settings
