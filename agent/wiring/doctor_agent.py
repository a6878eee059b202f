"""What `pillion doctor` asks a running agent, and sees of the processes around it."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import metadata
from typing import Any

from agent import carry
from agent.carry import isolated
from agent.config.settings import Settings
from agent.doctor.finding import Finding
from agent.doctor.looks import agent as running
from agent.doctor.looks import disk, processes
from agent.doctor.machine import agent as judged
from agent.doctor.machine import hook, state
from agent.doctor.machine.hook import Process
from agent.runtime.errors import Transient

BOOTSTRAP = "--config-path"
"""What tells Envoy from the service among the supervisor's children."""


async def agent(settings: Settings, where: str) -> Sequence[Finding]:
    """``agent.*``, ``envoy.accepted``, ``carry.active`` and ``files.limit``.

    ``where`` is its HOST:PORT, empty when that is not known.
    """
    try:
        status = await running.status(where) if where else None
        reason = "its port is a free one, and no agent has left word which"
    except Transient as error:
        status, reason = None, str(error)
    if status is None:
        limit = await asyncio.to_thread(_files, 0)
        return [judged.not_asked(where or settings.admin.listen, reason), *limit]
    found = judged.findings(where, status, settings.service.name, metadata.version("pillion"))
    return [*found, *await asyncio.to_thread(_around, status)]


def _around(status: Mapping[str, Any]) -> list[Finding]:
    envoy, service = _family(status)
    return [*_hook(status, service), *_files(envoy)]


def _family(status: Mapping[str, Any]) -> tuple[int, list[Process]]:
    """Envoy's process (0: not seen) and the service's; none of them where the agent is in another namespace."""
    pid = _number(status["agent"].get("pid"))
    own = processes.process(pid) if pid else None
    if own is None or "agent" not in own.argv:
        return 0, []
    supervisor = processes.parent(pid)
    envoy, service = 0, []
    for child in processes.below(supervisor, 1) if supervisor else []:
        seen = processes.process(child)
        if child == pid or seen is None:
            continue
        if BOOTSTRAP in seen.argv:
            envoy = child
        else:
            service += [seen, *filter(None, map(processes.process, processes.below(child)))]
    return envoy, service


def _hook(status: Mapping[str, Any], service: Sequence[Process]) -> list[Finding]:
    told = status.get("hook")
    components = status.get("components")
    report = components.get("hook") if isinstance(components, dict) else None
    detail = report.get("detail") if isinstance(report, dict) and report.get("state") == "degraded" else ""
    first = partial(isolated.why, first=_nothing)
    return hook.finding(
        told if isinstance(told, dict) else {}, str(detail or ""), service, str(carry.SITE), first
    )


def _nothing(_program: str) -> bytes:
    """A running process shows the interpreter itself, so no script is looked into."""
    raise FileNotFoundError


def _files(envoy: int) -> list[Finding]:
    """``files.limit`` of the running Envoy, else of what would be started from here; nothing where it is not seen."""
    try:
        return [state.files(disk.limit(envoy), "Envoy" if envoy else "what is started from here")]
    except OSError:
        return []


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdigit()) else 0
