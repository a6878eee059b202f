"""What `pillion doctor` looks at in Consul, with the agent's own token and way to it."""

from collections.abc import Callable, Sequence

from agent.config.settings import Settings
from agent.doctor.finding import Finding, ok, warning
from agent.doctor.machine import consul as judged
from agent.registry import checkup, client, rights
from agent.registry.token import Nobody
from agent.runtime.errors import Permanent, PillionError


async def consul(settings: Settings, gateway: bool, now: Callable[[], float]) -> Sequence[Finding]:
    """``consul.*``; ``now`` is the wall clock in seconds."""
    where = f"Consul at {settings.registry.address}"
    try:
        # Without a token, as anybody may ask it: a login fails too where Consul is away, and would be blamed.
        async with client.connect(settings.registry, token=Nobody()) as asked:
            status = await checkup.status(asked, now)
    except PillionError as error:
        return [judged.away(where, str(error))]
    found = [
        ok("consul.reachable", where, "it answers"),
        judged.leader(where, status.leader),
        judged.clock(where, status.apart),
    ]
    if not status.leader:
        return found
    try:
        async with client.connect(settings.registry) as asked:
            return [*found, *await _allowed(asked, where, rights.wanted(settings, gateway=gateway))]
    except PillionError as error:
        return [*found, judged.unknown_token(where, str(error))]


async def _allowed(asked: client.Client, where: str, wanted: Sequence[rights.Rule]) -> list[Finding]:
    await asked.authenticate()
    version, agent = await _agent(asked, where)
    allowed = await checkup.allowed(asked, wanted, agent)
    return [*judged.rights(where, allowed.missing, given=bool(asked.credentials)), version]


async def _agent(asked: client.Client, where: str) -> tuple[Finding, str]:
    """Its version, and its name; empty where the token may not know it."""
    try:
        name, _ = await asked.agent_name()
        return ok("consul.version", where, await asked.version()), name
    except Permanent as error:
        todo = 'Add to the token\'s policy: agent_prefix "" { policy = "read" }'
        return warning("consul.version", where, str(error), todo), ""
