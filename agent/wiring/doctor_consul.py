"""What `pillion doctor` looks at in Consul, with the agent's own token and way to it."""

from collections.abc import Callable, Sequence

from agent.config.settings import Settings
from agent.doctor.finding import Finding, ok, warning
from agent.doctor.machine import consul as judged
from agent.registry import checkup, client, rights
from agent.runtime.errors import Permanent, PillionError


async def consul(settings: Settings, gateway: bool, now: Callable[[], float]) -> Sequence[Finding]:
    """``consul.*``; ``now`` is the wall clock in seconds."""
    where = f"Consul at {settings.registry.address}"
    try:
        async with client.connect(settings.registry) as asked:
            return await _asked(asked, settings, gateway, now)
    except PillionError as error:
        return [judged.away(where, str(error))]


async def _asked(
    asked: client.Client, settings: Settings, gateway: bool, now: Callable[[], float]
) -> list[Finding]:
    where = f"Consul at {settings.registry.address}"
    try:
        await asked.authenticate()
    except PillionError as error:
        return [judged.unknown_token(where, str(error))]
    status = await checkup.status(asked, now)
    found = [
        ok("consul.reachable", where, "it answers"),
        judged.leader(where, status.leader),
        judged.clock(where, status.apart),
    ]
    if not status.leader:
        return found
    return [*found, *await _allowed(asked, settings, gateway)]


async def _allowed(asked: client.Client, settings: Settings, gateway: bool) -> list[Finding]:
    where = f"Consul at {settings.registry.address}"
    wanted = rights.wanted(settings, gateway=gateway)
    try:
        version, agent = await _agent(asked, where)
        allowed = await checkup.allowed(asked, wanted, agent)
    except PillionError as error:
        return [judged.unknown_token(where, str(error))]
    return [*judged.rights(where, allowed.missing, given=bool(asked.credentials)), version]


async def _agent(asked: client.Client, where: str) -> tuple[Finding, str]:
    """Its version, and its name; empty where the token may not know it."""
    try:
        name, _ = await asked.agent_name()
        return ok("consul.version", where, await asked.version()), name
    except Permanent as error:
        todo = 'Add to the token\'s policy: agent_prefix "" { policy = "read" }'
        return warning("consul.version", where, str(error), todo), ""
