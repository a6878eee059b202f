"""What an agent knows and what its Envoy was told."""

from agent.metrics import ask
from agent.metrics.ask import INSTANCE, SERVICE
from agent.metrics.families import envoy, process, proxy, registry
from agent.metrics.rules.declare import Rule, Severity, on

_OTLP = f'{envoy.CLUSTER}="otlp"'

ALL = (
    Rule(
        "PillionConfigurationRefused",
        values=(
            ask.gathered("sum", INSTANCE, ask.increase(proxy.REFUSALS, over="10m")),
            ask.gathered("sum", INSTANCE, ask.increase(proxy.PLAN_FAILURES, over="10m")),
        ),
        holds="> 0",
        wait="0s",
        severity=Severity.WARNING,
        summary=f"Envoy of {on(INSTANCE)} refuses configuration",
        description=(
            "Envoy refused an update, or none could be made. What was accepted before stays in force."
        ),
        do=(
            "`pillion status` shows Envoy's message. It is mostly an override in Consul's KV or a fragment in "
            "`proxy.assets_dir`: take it back."
        ),
        why="It happens on a change and never by itself.",
    ),
    Rule(
        "PillionConfigurationNotInForce",
        values=(ask.select(proxy.UP_TO_DATE),),
        holds="== 0",
        wait="1m",
        severity=Severity.WARNING,
        summary=f"Envoy of {on(INSTANCE)} does not run the newest configuration",
        description="The agent has a newer configuration than the one that Envoy has accepted as a whole.",
        do="See `pillion status` for refusals, and whether Envoy is on the stream.",
        why="A delivery takes milliseconds; one that waits for a cluster to warm up seconds.",
    ),
    Rule(
        "PillionCatalogStale",
        values=(ask.gathered("max", SERVICE, ask.select(registry.STALE)),),
        holds="> 0",
        wait="1m",
        severity=Severity.WARNING,
        summary=f"Agents of {on(SERVICE)} use instances that Consul lost",
        description=(
            "Consul does not list a service any more that it listed before, or has lost sight of the nodes of all its "
            "instances. The last known ones are used: for `registry.keep_last`, or while they are out of sight."
        ),
        do=(
            "See whether Consul lost its data or was restored, and whether its client agents are alive (`consul "
            "members`); where the service was removed on purpose it ends by itself."
        ),
        why="A service that is deployed anew by stopping all instances first is gone for less.",
    ),
    Rule(
        "PillionConsulAway",
        values=(ask.gathered("sum", INSTANCE, ask.increase(registry.FAILURES, over="5m")),),
        holds="> 10",
        wait="1m",
        severity=Severity.WARNING,
        summary=f"Consul does not answer {on(INSTANCE)}",
        description=(
            "Questions to Consul keep failing. Traffic goes on with what is known; changes are not seen."
        ),
        do="`pillion status` says what came back; look at Consul, the network to it and the token.",
        why="Tries are seconds apart, so a restart of Consul stays below it.",
    ),
    Rule(
        "PillionServicesLeftOut",
        values=(ask.gathered("max", SERVICE, ask.select(registry.LEFT_OUT)),),
        holds="> 0",
        wait="1m",
        severity=Severity.WARNING,
        summary=f"Agents of {on(SERVICE)} leave services out",
        description=(
            "There are more services in Consul than an agent takes with `upstreams: *`; the rest is "
            "answered 503."
        ),
        do="Name the services that are called in `upstreams`.",
        why="It does not pass by itself.",
    ),
    Rule(
        "PillionEntriesLeftOut",
        values=(
            ask.gathered("max", SERVICE, ask.select(proxy.LEFT_OUT)),
            ask.gathered("max", SERVICE, ask.select(proxy.CONFLICTS)),
        ),
        holds="> 0",
        wait="5m",
        severity=Severity.WARNING,
        summary=f"Agents of {on(SERVICE)} leave out what services registered",
        description=(
            "An instance, a route or a service in Consul can't be used as it is, or several services ask the gateway "
            "for one path prefix. The rest is served."
        ),
        do="`pillion status` has a sentence for each, with the service: correct its registration.",
        why="A rollout that moves a route from one service to another has both for a moment.",
    ),
    Rule(
        "PillionValuesRefused",
        values=(
            ask.gathered("max", INSTANCE, ask.select(registry.REFUSED)),
            ask.gathered("sum", INSTANCE, ask.increase(registry.OVERRIDES, 'outcome="refused"', over="10m")),
            ask.gathered("sum", INSTANCE, ask.increase(registry.DELIVERIES, 'outcome="failed"', over="10m")),
        ),
        holds="> 0",
        wait="0s",
        severity=Severity.WARNING,
        summary=f"{on(INSTANCE)} can't use what is in Consul's KV",
        description=(
            "A value can't be delivered to the service, an override is refused, or delivering failed. "
            "The former stays."
        ),
        do="`pillion status` names the key and why; correct it in Consul's KV.",
        why="Somebody has just written it.",
    ),
    Rule(
        "PillionRestartsStuck",
        values=(ask.gathered("max", SERVICE, ask.select(registry.UNSETTLED)),),
        holds="> 0",
        wait="15m",
        severity=Severity.WARNING,
        summary=f"Instances of {on(SERVICE)} do not get a changed configuration",
        description=(
            "With `store.action: restart` instances restart one after the other. One does not pass its check with the "
            "new values, or waits for the lock; the others keep what they have, and serve."
        ),
        do=(
            "`pillion status` of any of them says for whom it waits and why: correct the value in Consul's KV, or give "
            "the token its rights."
        ),
        why="An instance takes some seconds; a fleet of a hundred may need longer than this.",
    ),
    Rule(
        "PillionSpansLost",
        values=(
            ask.gathered("sum", INSTANCE, ask.increase(process.SPANS, 'outcome="lost"', over="10m")),
            ask.gathered(
                "sum",
                INSTANCE,
                ask.or_zero(
                    ask.increase(envoy.UNREACHED, _OTLP, over="10m"), ask.select(envoy.MEMBERS, _OTLP)
                ),
            ),
            ask.gathered(
                "sum",
                INSTANCE,
                ask.or_zero(
                    ask.increase(envoy.UPSTREAM_ANSWERS, _OTLP, f'{envoy.CLASS}=~"4|5"', over="10m"),
                    ask.select(envoy.MEMBERS, _OTLP),
                ),
            ),
        ),
        holds="> 0",
        wait="5m",
        severity=Severity.WARNING,
        summary=f"Spans of {on(INSTANCE)} are lost",
        description=(
            "The collector of traces can't be reached or refuses spans. They are dropped; requests are not touched."
        ),
        do="Look whether Jaeger or the collector at `tracing.endpoint` runs and has room.",
        why="Longer than a restart of the collector.",
    ),
)
