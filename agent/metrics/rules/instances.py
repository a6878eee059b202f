"""Agents that can't be seen, that are not in Consul, or whose Envoy is not there."""

from agent.metrics import ask
from agent.metrics.ask import INSTANCE, SERVICE
from agent.metrics.families import process, prometheus, proxy, registry
from agent.metrics.rules.declare import Rule, Severity, on

JOB = 'job="pillion"'
_UP = ask.select(prometheus.UP, JOB)
_SERVICES = ask.gathered("count", SERVICE, _UP)

ALL = (
    Rule(
        "PillionAgentDown",
        values=(_UP,),
        holds="== 0",
        wait="30s",
        severity=Severity.WARNING,
        summary=f"The agent of {on(INSTANCE)} does not answer",
        description=(
            "Prometheus gets no answer from the agent's port for metrics: the agent, its pod or the "
            "way to it is gone."
        ),
        do=(
            "Look whether the process runs (`pillion status` beside it, `docker compose ps`, `kubectl get pods`) and "
            "read its log; callers go on with other instances."
        ),
        why="Six scrapes in a row: an agent that crashed alone is back within 2 s.",
    ),
    Rule(
        "PillionServiceUnseen",
        values=(ask.gathered("count", SERVICE, f"{_UP} offset 15m"),),
        holds="",
        wait="1m",
        severity=Severity.WARNING,
        summary=f"No agent of {on(SERVICE)} is known to Prometheus any more",
        description=(
            "A quarter of an hour ago there was a target of this service, now there is none, not even "
            "one that is down."
        ),
        do=(
            "Where the service was taken away on purpose, do nothing: it ends by itself. Else look why its instances "
            "are not found (a label, a network policy, the scrape configuration)."
        ),
        why=(
            "What disappears from the configuration has no `up` that could be 0; what never was there "
            "is not missed."
        ),
        only=f"unless {_SERVICES}",
        shown=_SERVICES,
    ),
    Rule(
        "PillionRestarting",
        values=(f"changes({ask.select(process.STARTED, JOB)}[15m])",),
        holds="> 2",
        wait="0s",
        severity=Severity.WARNING,
        summary=f"The agent of {on(INSTANCE)} starts again and again",
        description=(
            "It ended more than twice within a quarter of an hour. Envoy and the service go on "
            "without news meanwhile."
        ),
        do="Read the agent's log for the last error before each start.",
        why="A deployment starts it once, a mistake in it once more.",
    ),
    Rule(
        "PillionNotRegistered",
        values=(ask.select(registry.REGISTERED),),
        holds="== 0",
        wait="2m",
        severity=Severity.WARNING,
        summary=f"{on(INSTANCE)} is not registered in Consul",
        description=(
            "Consul does not answer this agent, refuses its registration, or does not know the "
            "instance: nobody calls it."
        ),
        do="`pillion status` says why; look at Consul's address, its token's rights and Consul itself.",
        why="Longer than a start and than a drain takes.",
    ),
    Rule(
        "PillionNotPassing",
        values=(ask.select(registry.PASSING),),
        holds="== 0",
        wait="2m",
        severity=Severity.WARNING,
        summary=f"{on(INSTANCE)} does not pass its check",
        description=(
            "The instance is in Consul as critical: the service fails its health check, or its Envoy "
            "has no configuration."
        ),
        do=(
            "`/readyz` names each reason. See whether the service answers `service.health_path`; then "
            "look at its log."
        ),
        why=(
            "Longer than a start takes; a service that is slow to start has `service.health_path` "
            "answered late."
        ),
    ),
    Rule(
        "PillionEnvoyNotAnswering",
        values=(ask.select(process.ANSWERED),),
        holds="== 0",
        wait="30s",
        severity=Severity.WARNING,
        summary=f"Envoy of {on(INSTANCE)} does not answer",
        description=(
            "Envoy's admin socket gives no metrics: it has crashed, hangs or is starved. Its traffic "
            "is probably broken."
        ),
        do=(
            "`pillion status` shows how often it was started; read its lines in the log, look at "
            "memory and CPU limits."
        ),
        why="A crashed Envoy is started again within seconds.",
    ),
    Rule(
        "PillionEnvoyDisconnected",
        values=(ask.select(proxy.CONNECTED),),
        holds="== 0",
        wait="30s",
        severity=Severity.WARNING,
        summary=f"Envoy of {on(INSTANCE)} is not on its agent's stream",
        description=(
            "Envoy goes on with the configuration that it has and hears of no change: neither new nor "
            "lost instances."
        ),
        do=(
            "See whether Envoy runs and whether it may open the agent's socket (same user, same `state.dir`)."
        ),
        why="It reconnects within 0.2 s.",
    ),
)
