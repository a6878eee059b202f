"""What `pillion doctor` looks at on a machine: as an agent with these settings would find it, and the agent itself."""

import asyncio
import contextlib
import errno
import importlib
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from agent.config.bound import listeners
from agent.config.place import LONGEST_SOCKET, Place
from agent.config.settings import Settings
from agent.demo import components
from agent.doctor.finding import Check, Finding, ok, problem, warning
from agent.doctor.looks import collector, disk, ports
from agent.doctor.machine import collector as spans
from agent.doctor.machine import envoy as version
from agent.doctor.machine import ports as judged
from agent.doctor.machine import state
from agent.model.address import Address
from agent.proxy import command as envoy
from agent.runtime.errors import Misconfigured, Permanent, PillionError, Problem, Transient
from agent.runtime.words import words
from agent.tracing import lookup
from agent.wiring import doctor_agent, doctor_consul, drivers, traces

EXECUTES = 10.0
"""Seconds in which ``envoy --version`` must end."""


def machine(
    settings: Settings, place: Place, where: str, *, gateway: bool = False,
    now: Callable[[], float] = time.time,
) -> tuple[Check, ...]:  # fmt: skip
    """The checks of this machine.

    ``settings`` have the ports that an agent chose, as far as it left word; ``where`` is its HOST:PORT, empty when that
    is not known. ``now`` is the wall clock in seconds.
    """
    tracing, outbox, inbox = settings.tracing, settings.outbox, settings.inbox
    relays = not gateway and (outbox.tables or outbox.changes)
    receives = not gateway and inbox.topics
    return (
        Check("agent", "the agent", partial(doctor_agent.agent, settings, where)),
        Check("consul", "Consul", partial(doctor_consul.consul, settings, gateway, now)),
        Check("envoy", "Envoy", partial(_envoy, settings)),
        Check("ports", "the ports of an agent", partial(_ports, settings, place, gateway)),
        Check("state", "the state folder", partial(_state, place)),
        *([Check("tracing.collector", "the collector", partial(_collector, settings))] if tracing.endpoint else ()),
        *([Check("jaeger", "Jaeger", partial(_jaeger, settings))] if tracing.endpoint or tracing.query else ()),
        *([Check("outbox", "the outbox", partial(_outbox, settings))] if relays else ()),
        *([Check("outbox.broker", "the outbox's broker", partial(_broker, settings))] if relays else ()),
        *([Check("inbox", "the inbox", partial(_inbox, settings))] if receives else ()),
    )  # fmt: skip


async def _envoy(settings: Settings) -> Sequence[Finding]:
    if settings.proxy.mode == "external":
        return [ok("envoy.binary", "Envoy's binary", "someone else runs Envoy (proxy.mode external)")]
    try:
        binary = await asyncio.to_thread(envoy.find, settings.proxy.envoy, partial(components.find, "envoy"))
    except (Misconfigured, Permanent) as error:
        return [version.missing(str(error))]
    said, failure = await _asked(binary)
    return [
        ok("envoy.binary", "Envoy's binary", str(binary)),
        version.version(str(binary), said, failure),
    ]


async def _asked(binary: Path) -> tuple[str, str]:
    """What ``envoy --version`` says, and why it says nothing."""
    try:
        child = await asyncio.create_subprocess_exec(
            str(binary), "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError as error:
        return "", words(error)
    try:
        async with asyncio.timeout(EXECUTES):
            out, _ = await child.communicate()
    except TimeoutError:
        return "", f"it did not end within {EXECUTES:g} s"
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return out.decode(errors="replace"), f"it ended with {child.returncode}" if child.returncode else ""


async def _ports(settings: Settings, place: Place, gateway: bool) -> Sequence[Finding]:
    return await asyncio.to_thread(_taken, settings, place, gateway)


def _taken(settings: Settings, place: Place, gateway: bool) -> list[Finding]:
    found, wanted = [], listeners(settings, gateway=gateway)
    if settings.proxy.mode == "managed" and not gateway:
        for name, upstream in settings.upstreams.items():
            if upstream.port > 0:
                wanted[f"upstreams.{name}.port"] = Address("127.0.0.1", upstream.port)
    for key, address in wanted.items():
        udp = key == "outbound.dns"
        if address.port and (number := ports.error(address.host, address.port, udp=udp)):
            holder = ports.holder(address.host, address.port, udp=udp) if number == errno.EADDRINUSE else None
            found.append(judged.Taken(key, str(address), number, str(holder or "")))
    return judged.findings(found, ours=bool(found) and _runs(place))


def _runs(place: Place) -> bool:
    try:
        if not place.lock.exists():
            return False
        with envoy.hold(place.lock):
            return False
    except (Permanent, OSError):
        return True


async def _state(place: Place) -> Sequence[Finding]:
    return await asyncio.to_thread(_folder, place)


def _folder(place: Place) -> list[Finding]:
    folder = place.folder.absolute()
    if place.longest_socket > LONGEST_SOCKET:
        return [state.too_long(str(folder), place.longest_socket, LONGEST_SOCKET)]
    error, space = disk.unwritable(folder), list[Finding]()
    with contextlib.suppress(OSError):  # where this user may not look, no file can be written either
        space.append(state.space(str(folder), disk.disk(folder)))
    if error is None:
        return [ok("state.dir", f"the state folder {folder}", "it can be written"), *space]
    if error.errno == errno.ENOSPC and any(one.is_wrong for one in space):
        return space
    return [state.unwritable(str(folder), words(error)), *space]


async def _collector(settings: Settings) -> Sequence[Finding]:
    where = settings.tracing.endpoint
    try:
        return [spans.answered(where, *await collector.offered(settings.tracing.traces_url))]
    except Transient as error:
        return [spans.away(where, str(error))]


async def _jaeger(settings: Settings) -> Sequence[Finding]:
    """Nothing but two commands needs its answers, so that its silence is no problem."""
    where = f"Jaeger at {lookup.query_url(settings)}"
    try:
        async with traces.jaeger(settings) as jaeger:
            count = len(await jaeger.services())
    except PillionError as error:
        todo = "Without it `pillion trace` and `bottlenecks` can't work; say where it is: tracing.query."
        return [warning("jaeger.reachable", where, str(error), todo)]
    return [ok("jaeger.reachable", where, f"it answers, and has spans of {count} services")]


async def _outbox(settings: Settings) -> Sequence[Finding]:
    if lacking := _lacking("outbox", drivers.outbox(settings)):
        return lacking
    module = importlib.import_module("agent.wiring.outbox_doctor")
    findings: Sequence[Finding] = await module.findings(settings.outbox)
    return findings


async def _broker(settings: Settings) -> Sequence[Finding]:
    module = importlib.import_module("agent.wiring.doctor_broker")
    findings: Sequence[Finding] = await module.outbox(settings)
    return findings


async def _inbox(settings: Settings) -> Sequence[Finding]:
    if lacking := _lacking("inbox", drivers.inbox(settings)):
        return lacking
    module = importlib.import_module("agent.wiring.inbox_doctor")
    findings: Sequence[Finding] = await module.findings(settings)
    return findings


def _lacking(key: str, problems: Iterable[Problem]) -> list[Finding]:
    """The database's driver that is not installed."""
    todo = "Install it, and try again."
    return [
        problem(f"{key}.database", f"the {key}", f"it {one.wrong}", todo)
        for one in problems
        if one.key == key
    ]
