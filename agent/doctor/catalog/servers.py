"""Findings about Consul and where spans go."""

from agent.doctor.catalog.declare import Entry, Part

CONSUL = Part(
    "Consul",
    "Always, with the agent's own token or login. What the token allows is asked of Consul, nothing is tried.",
    (
        Entry(
            "consul.reachable",
            "an answer at `registry.address`",
            "none, one that is not Consul's, plain HTTP where TLS is spoken or the other way round, a certificate "
            "that is not trusted",
            "",
            "start it, or mend `registry.address`, `registry.ca_cert`",
        ),
        Entry(
            "consul.leader",
            "`/v1/status/leader`",
            "no server leads",
            "",
            "more than half of the servers must be up and see each other",
        ),
        Entry(
            "consul.clock",
            "the time in Consul's answer and this host's",
            "",
            "more than 2 s apart",
            "synchronise both",
        ),
        Entry(
            "consul.token",
            "the token, or the login that gets one",
            "ACLs are on and none is given where one is needed, Consul does not know it, or the login is refused",
            "",
            "`registry.token_file`, `registry.login_method`",
        ),
        Entry(
            "consul.rights",
            "what the token allows: registering this service, reading those that it calls, nodes, agents, its keys",
            'a rule is missing without which there is no mesh, such as `service "orders" { policy = "write" }`',
            "a rule is missing without which a part is lost: configuration from KV, live settings, restarts after a "
            "change, Consul's version",
            "add the rules that are named to the token's policy",
        ),
        Entry(
            "consul.version",
            "the version of the agent that answers",
            "",
            "the token may not know it",
            '`agent_prefix "" { policy = "read" }`',
        ),
    ),
)

TRACES = Part(
    "Traces",
    "Where `tracing.endpoint` is set; `jaeger.reachable` also with `tracing.query`.",
    (
        Entry(
            "tracing.collector",
            "an empty batch of spans, sent to `tracing.endpoint`",
            "",
            "no answer, or a refusal: no collector's path (Jaeger's page instead of its port 4318), credentials, no "
            "OTLP over HTTP. Services go on without it",
            "start it, or mend `tracing.endpoint`",
        ),
        Entry(
            "jaeger.reachable",
            "Jaeger's query API",
            "",
            "it does not answer: only `pillion trace` and `bottlenecks` need it",
            "`tracing.query`",
        ),
    ),
)
