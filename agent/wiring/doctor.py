"""What `pillion doctor` looks at: this machine as an agent would find it, or a cluster of Kubernetes."""

import asyncio
import importlib
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from agent.config.place import Place
from agent.config.settings import Settings
from agent.demo import components
from agent.doctor.api import Api
from agent.doctor.documents import Documents
from agent.doctor.finding import Check, Finding, ok, problem, warning
from agent.doctor.kubectl import Kubectl
from agent.inject.cluster import access, errors
from agent.inject.cluster.client import Client
from agent.model.address import Address
from agent.proxy import command as envoy
from agent.registry import client
from agent.runtime.errors import Misconfigured, Permanent, PillionError, Problem
from agent.runtime.ports import is_free
from agent.tracing import lookup
from agent.wiring import traces

TESTED = (1, 40)
"""The oldest Envoy with which all of Pillion's configuration is tested."""


def machine(settings: Settings, place: Place) -> tuple[Check, ...]:
    """The checks of this machine."""
    traced = settings.tracing.endpoint or settings.tracing.query
    relays = settings.outbox.database and (settings.outbox.tables or settings.outbox.changes)
    return (
        Check("consul", f"Consul at {settings.registry.address}", partial(_consul, settings)),
        Check("envoy", "Envoy", partial(_envoy, settings)),
        Check("ports", "the ports of an agent", partial(_ports, settings, place)),
        *([Check("jaeger", "Jaeger", partial(_jaeger, settings))] if traced else ()),
        *([Check("outbox", "the outbox", partial(_outbox, settings))] if relays else ()),
        Check("carry", "the carry hook", partial(_hook, settings)),
    )


class Inside:
    """The API server as a pod reaches it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get(self, path: str) -> Any:
        """See ``agent.doctor.api.Api``."""
        try:
            return await self._client.ask(path)
        except errors.Absent:
            return None


@asynccontextmanager
async def api(context: str, settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[Api]:
    """The way to the API server: in a pod by its service account, elsewhere and with a ``context`` by kubectl.

    Raises Misconfigured where there is neither.
    """
    if context or not environ.get("KUBERNETES_SERVICE_HOST"):
        yield Kubectl(context)
        return
    async with Client(access.in_cluster(environ, Path(settings.webhook.account_dir))) as client:
        yield Inside(client)


@asynccontextmanager
async def cluster(api: Api) -> AsyncIterator[tuple[Check, ...]]:
    """The checks of a cluster; what they ask for is remembered within the block."""
    try:
        module = importlib.import_module("agent.doctor.cluster")
    except ImportError as error:
        wrong = f"needs {error.name}, which is not installed: pip install 'pillion[kubernetes]'"
        raise Misconfigured([Problem("--kubernetes", wrong)]) from error
    documents = Documents(api)
    try:
        yield module.Cluster(documents).checks()
    finally:
        await documents.close()


async def _consul(settings: Settings) -> Sequence[Finding]:
    where = f"Consul at {settings.registry.address}"
    start = "Start Consul, or say where it is: --registry-address, CONSUL_HTTP_ADDR."
    try:
        async with client.connect(settings.registry) as consul:
            leader = await consul.leader()
            findings = [
                ok("consul.reachable", where, "it answers")
                if leader
                else problem(
                    "consul.reachable", where, "it has no leader", "See the logs of Consul's servers."
                )
            ]
            return [*findings, await _version(consul, where)]
    except PillionError as error:
        return [problem("consul.reachable", where, str(error), start)]


async def _version(consul: client.Client, where: str) -> Finding:
    try:
        return ok("consul.version", where, await consul.version())
    except Permanent as error:
        todo = "Give the token agent:read: without it neither version nor node is known."
        return warning("consul.version", where, str(error), todo)


async def _envoy(settings: Settings) -> Sequence[Finding]:
    if settings.proxy.mode == "external":
        return [ok("envoy.binary", "Envoy's binary", "someone else runs Envoy (proxy.mode external)")]
    try:
        binary = await asyncio.to_thread(envoy.find, settings.proxy.envoy, partial(components.find, "envoy"))
    except (Misconfigured, Permanent) as error:
        return [
            problem(
                "envoy.binary",
                "Envoy's binary",
                str(error),
                "Run `pillion demo --obtain`, or set proxy.envoy.",
            )
        ]
    said = await _asked(binary)
    match = re.search(r"/(\d+)\.(\d+)\.(\d+)[^/]*/", said)
    found = ok("envoy.binary", "Envoy's binary", str(binary))
    if match is None:
        todo = "See what this file is; give Envoy's path as proxy.envoy."
        return [found, problem("envoy.version", str(binary), "it does not tell an Envoy's version", todo)]
    version = f"{match[1]}.{match[2]}.{match[3]}"
    if (int(match[1]), int(match[2])) < TESTED:
        todo = "Take a newer one; `pillion envoy validate` shows whether this one takes the configuration."
        return [found, warning("envoy.version", str(binary), f"{version} is older than what is tested", todo)]
    return [found, ok("envoy.version", str(binary), version)]


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
    try:
        module = importlib.import_module("agent.wiring.outbox_doctor")
    except ImportError as error:
        found = f"it needs a library that is not installed ({error.name})"
        return [problem("outbox.database", "the outbox", found, "pip install 'pillion[postgres]'")]
    findings: Sequence[Finding] = await module.findings(settings.outbox)
    return findings


async def _asked(binary: Path) -> str:
    """What ``envoy --version`` says; empty when it can't be run."""
    try:
        child = await asyncio.create_subprocess_exec(
            str(binary), "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return ""
    try:
        out, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return out.decode(errors="replace")


async def _hook(settings: Settings) -> Sequence[Finding]:
    """What a running agent with these settings says of the hook in its service; nothing without one."""
    address = Address.parse(settings.admin.listen)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2), trust_env=False) as session,
            session.get(f"http://{address}/status") as response,
        ):
            found = await response.json()
        return hook(found.get("hook", {}))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, AttributeError):
        return []


def hook(told: Mapping[str, Any]) -> list[Finding]:
    """``carry.active``, from the status of an agent."""
    subject, answers = "the carry hook in the service", told.get("answers")
    if told.get("active") == "yes":
        return [ok("carry.active", subject, "it is in the service's answers")]
    if told.get("active") != "no":
        return []
    todo = (
        "Start the service's Python without -S, -I and -E and with the PYTHONPATH that it is given; "
        "or set tracing.carry to false."
    )
    return [warning("carry.active", subject, f"it is in none of {answers} answers: traces end there", todo)]


async def _ports(settings: Settings, place: Place) -> Sequence[Finding]:
    return await asyncio.to_thread(ports, settings, lambda: _runs(place))


def ports(settings: Settings, runs: Callable[[], bool]) -> list[Finding]:
    """``ports.free``; ``runs`` tells whether an agent with these settings holds them."""
    subject = "the ports of an agent"
    wanted = {
        "proxy.inbound": settings.proxy.inbound,
        "proxy.outbound": settings.proxy.outbound,
        "outbound.dns": settings.outbound.dns,
        "admin.listen": settings.admin.listen,
        "admin.health": settings.admin.health,
        "admin.metrics": settings.admin.metrics,
    }
    if settings.proxy.mode == "external":  # whose Envoy is not this agent's holds them rightly
        del wanted["proxy.inbound"], wanted["proxy.outbound"]
    places = {key: Address.parse(text) for key, text in wanted.items() if text}
    taken = {key: one for key, one in places.items() if one.port and not is_free(one.host, one.port)}
    if not taken:
        return [ok("ports.free", subject, "all are free")]
    if runs():
        return [ok("ports.free", subject, "the agent with this state folder has them")]
    held = ", ".join(f"{one} ({key})" for key, one in taken.items())
    todo = "End what listens there (ss -tlnp shows it), or choose others: 0 is a free one."
    return [problem("ports.free", subject, f"something else has {held}", todo)]


def _runs(place: Place) -> bool:
    if not place.lock.exists():
        return False
    try:
        with envoy.hold(place.lock):
            return False
    except (Permanent, OSError):
        return True
