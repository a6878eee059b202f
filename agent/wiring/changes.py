"""What follows a change of the service's configuration, and which secrets its values may stand for."""

import signal
from collections.abc import Mapping
from functools import partial

from agent.config import fields
from agent.config.settings import Settings
from agent.model.store import Store
from agent.registry import client
from agent.registry.command import Command
from agent.registry.delivery import Act
from agent.registry.lock import Lock
from agent.registry.metrics import Metrics
from agent.registry.probe import Probe
from agent.registry.references import References
from agent.registry.restarts import Restarts, key_of
from agent.runtime.child import Child
from agent.runtime.latest import Latest
from agent.wiring import service
from agent.wiring.base import Base


def references(base: Base) -> References:
    """What values may stand for: what the operator listed, and nothing of the agent's own."""
    settings, environ = base.settings, base.around.environ
    names = settings.store.secret_variables
    variables = {name: environ[name] for name in names if name in environ} if names else None
    return References(settings.store.secret_dirs, variables, own_files(settings, str(base.place.folder)))


def own_files(settings: Settings, folder: str) -> tuple[str, ...]:
    """The agent's files of secrets, and its folder of state."""
    keys = {"registry.login_token_file", *(one.file_key for one in fields.all_settings() if one.file_key)}
    return (folder, *filter(None, (str(fields.value(settings, key)) for key in sorted(keys))))


def act(base: Base, child: Child | None, restarts: Restarts | None) -> Act:
    """What ``store.action`` names."""
    store = base.settings.store
    if store.action == "exec":
        command = Command(
            store.exec, environ(base.around.environ, store.secret_variables), store.exec_timeout
        )
        return partial(_exec, command, base.cells.delivered, set())
    if store.action == "none" or child is None:
        return _nothing
    return restarts.ask if restarts else partial(_signal, child, signal.Signals[f"SIG{store.signal}"])


def environ(own: Mapping[str, str], secrets: tuple[str, ...]) -> dict[str, str]:
    """The environment of the action's command: the operator's without secrets, the agent's and those of values."""
    left_out = {*fields.secret_variables(), *secrets}
    return {name: value for name, value in own.items() if name not in left_out}


async def _exec(
    command: Command, delivered: Latest[Store], former: set[str], _before: str, _after: str
) -> bool:
    """``former`` are the values of the last time: a command that shows what changed shows them, too."""
    values = {entry.value.decode() for entry in delivered.value.entries.values()}
    former |= values
    await command.run(former)
    former &= values
    return True


async def _nothing(_before: str, _after: str) -> bool:
    return True


async def _signal(child: Child, signum: int, _before: str, _after: str) -> bool:
    await child.signal(signum)
    return True


def restarts(
    base: Base,
    child: Child | None,
    probe: Probe | None,
    *,
    reading: client.Client,
    instance: str,
    metrics: Metrics,
) -> Restarts | None:
    """Restarts of the service across the fleet, where they are asked for and it is ours to restart."""
    settings, cells = base.settings, base.cells
    if child is None or settings.store.action != "restart":
        return None
    name = settings.service.name
    return Restarts(
        Lock(reading, key_of(name), instance), reading, child.restart, probe,
        service=name, instance=instance, verdicts=cells.verdict, registration=cells.registration,
        leaving=base.leaving, draining=cells.draining, store=cells.store,
        ended=partial(service.ended, base.around.supervisor),
        spread=settings.registry.spread, gone_after=settings.registry.deregister_after,
        health=base.board.of("restarts"), metrics=metrics, journal=base.journal,
    )  # fmt: skip
