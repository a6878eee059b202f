"""The service of ``run -- CMD``: what it is started with, and whether it runs."""

from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from agent import carry
from agent.admin import own as service_metrics
from agent.carry import isolated
from agent.config import fields
from agent.config.sections.service import Service as ServiceSettings
from agent.model.address import Address
from agent.model.store import Store
from agent.proxy.environment import service_environment
from agent.registry.environment import Environment, environment
from agent.runtime.child import Command as ChildCommand
from agent.runtime.health import Board, Health
from agent.runtime.latest import Latest
from agent.runtime.supervisor import Supervisor
from agent.wiring.base import Around

log = structlog.get_logger(__name__)


def command(around: Around, argv: tuple[str, ...], store: Latest[Store], board: Board) -> ChildCommand:
    """The service's arguments and environment: the operator's own, configuration, the mesh, the hook.

    ``store`` is what is delivered, references to secrets replaced.
    """
    settings = around.settings
    own = {name: value for name, value in around.environ.items() if name not in fields.secret_variables()}
    given = environment(store.value, own) if settings.store.environment else Environment({})
    _report(given, board.of("environment"))
    outbound = Address.parse(settings.proxy.outbound)
    explicit = {name: one.port for name, one in settings.upstreams.items() if one.port > 0}
    env = {**given.variables, **own}
    env |= {"PORT": str(settings.service.port), "FLASK_RUN_PORT": str(settings.service.port)}
    env |= service_environment(outbound, explicit, own, https=settings.outbound.https)
    if settings.tracing.carry:
        hook = carry.environment(env, (*explicit.values(), outbound.port))
        env |= hook
        if hook:
            _report_hook(isolated.why(argv, isolated.beginning(env)), board)
    return argv, env


def _report_hook(why: str, board: Board) -> None:
    """Say what is known before the start: no trace context is carried, everything else works."""
    if why:
        board.of("hook").degraded(
            f"the service is started by {why}: it never loads the hook and carries no trace context; start it "
            "without that, or set tracing.carry to false"
        )
        log.warning("hook.not_loaded", why=why)


def _report(given: Environment, health: Health) -> None:
    if given.refused:
        health.degraded("left out: " + "; ".join(f"{one.key} {one.reason}" for one in given.refused))
    else:
        health.ok()


def metrics(settings: ServiceSettings) -> Callable[[], Awaitable[str]] | None:
    """The way to the service's own metrics, where it names a port for them."""
    if not settings.metrics_port:
        return None
    address = Address(settings.host, settings.metrics_port)
    return partial(service_metrics.metrics, f"http://{address}{settings.metrics_path}")


def runs(supervisor: Supervisor) -> bool:
    state = supervisor.states.value.get("service")
    return state is not None and state.running


def ended(supervisor: Supervisor) -> bool:
    """Whether it ended by itself."""
    state = supervisor.states.value.get("service")
    return state is not None and not state.running and not state.asked and state.status is not None
