"""Every finding that there is: docs/doctor.md is made of it, and the tests hold the checks to it. Pure data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A kind of finding."""

    id: str
    looks: str
    """What is looked at."""
    problem: str = ""
    """When it is a problem; empty: never."""
    warning: str = ""
    """When it is a warning; empty: never."""
    todo: str = ""
    """What is done about it, in short; the finding itself says it for the case at hand."""


@dataclass(frozen=True)
class Part:
    """Findings about one thing."""

    title: str
    when: str
    """When it is looked at, as a sentence."""
    entries: tuple[Entry, ...]


MACHINE = Part(
    "This machine",
    "Always, with or without a running agent.",
    (
        Entry(
            "settings.valid",
            "flags are left out: the file, the variables, the files of secrets",
            "a value that can't be used, an unknown key, settings that contradict each other, a secret's file that "
            "can't be read; nothing else is looked at then",
            "a `PILLION_` variable that is none, a secret's file that every user may read",
            "mend it: the key, what is wrong and what is allowed are told",
        ),
        Entry(
            "envoy.binary",
            "`proxy.envoy`, else `envoy` on PATH, else Pillion's cache",
            "there is none, or it may not be executed",
            "",
            "`pillion demo --obtain envoy`, or `proxy.envoy`",
        ),
        Entry(
            "envoy.version",
            "what the binary says to `--version`",
            "it can't be run, or says no Envoy's version",
            "older or newer than the one that all is tested with",
            "take that one; `pillion envoy validate` tells whether this one takes the configuration",
        ),
        Entry(
            "ports.free",
            "each address that the settings have the agent or Envoy listen at",
            "another process has it (named with its pid where this user may see it), no interface has the address, or "
            "the port is below 1024 and this user may not take it",
            "",
            "end the other one, or set the key that is named",
        ),
        Entry(
            "state.dir",
            "the state folder: a file is written there and taken away",
            "it can't be made or written, or its path is too long for a socket",
            "",
            "give this user the folder, or name another as `state.dir`",
        ),
        Entry(
            "state.space",
            "the disk of the state folder",
            "less than 1 MiB or no inode is free",
            "less than 64 MiB are free",
            "make room, or name another folder",
        ),
        Entry(
            "files.limit",
            "how many files the running Envoy may open, without one what is started from here",
            "",
            "fewer than 4096: each request takes two",
            "`LimitNOFILE=`, `ulimit -n`, `--ulimit`",
        ),
    ),
)

AGENT = Part(
    "The running agent",
    "Where an agent answers at `admin.listen`. `carry.active` also looks at the service's processes, as far as this "
    "user may.",
    (
        Entry(
            "agent.running",
            "whether one answers (it need not), whose it is, and its version",
            "",
            "it stands beside another service than the settings say, or runs another version than this program",
            "give its own settings; start it again",
        ),
        Entry(
            "agent.ready",
            "whether the instance gets requests",
            "it does not, with the agent's own reasons",
            "",
            "what is found of the parts tells more",
        ),
        Entry(
            "agent.component",
            "each part of the agent",
            "",
            "it lacks something, in its own words",
            "as it says",
        ),
        Entry(
            "envoy.accepted",
            "Envoy's connection and its last word on the configuration",
            "no Envoy is connected, or it refused a part of the configuration",
            "",
            "the agent's log; `pillion envoy validate`",
        ),
        Entry(
            "carry.active",
            "whether the service's answers show the hook, and if not, its processes' arguments and environment",
            "",
            "it does not: a Python with -S, -I or -E, a PYTHONPATH without the hook, another `sitecustomize` before "
            "it, `PILLION_CARRY=off`, no Python at all, or nothing that can be seen",
            "start the service without that, or set `tracing.carry` to false",
        ),
    ),
)

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
            "a rule is missing without which a part is lost: configuration from KV, live settings, Consul's version",
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
            "no answer, or a refusal: no collector's path, credentials, no OTLP over HTTP. Services go on without it",
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

OUTBOX = Part(
    "The outbox",
    "Where the settings have one: its database with the relay's own role and way, and its broker as the relay opens "
    "it. No row of yours is read, nothing is sent.",
    (
        Entry(
            "outbox.database",
            "the server",
            "no connection; a standby; older than 14; the driver is not installed",
            "",
            "start it, or mend `outbox.database(_file)`",
        ),
        Entry(
            "outbox.pooler",
            "two connections, at once and one within a transaction, and the settings that are in force",
            "a pooler gives each transaction another server process (PgBouncer's `pool_mode=transaction`), drops "
            "settings, or refuses them",
            "",
            "lead `outbox.database` to PostgreSQL itself",
        ),
        Entry(
            "outbox.clock",
            "this host's clock and the database's",
            "",
            "more than 2 s apart",
            "synchronise both",
        ),
        Entry(
            "outbox.transactions",
            "open and prepared transactions of the database",
            "",
            "open for more than 60 s, with who and since when; without `pg_read_all_stats` the time of other roles' "
            "is not to be seen, and one during which 100,000 others began is told",
            "see what it waits for, or end it",
        ),
        Entry(
            "outbox.rights",
            "what `pillion outbox sql --role` grants",
            "something of it is lacking, or a table is missing",
            "the role is a superuser",
            "grant what is named",
        ),
        Entry(
            "outbox.prepared",
            "each feed: schema, record, buckets, columns",
            "not prepared; restored and not adopted; made by a later Pillion",
            "made by an earlier one",
            "`pillion outbox init`, `adopt`",
        ),
        Entry(
            "outbox.sequence",
            "what numbers the rows of each feed",
            "no sequence; a cache, a step or a cycle, by which numbers are given out in another order than rows are "
            "written",
            "",
            "alter it as is told",
        ),
        Entry(
            "outbox.index",
            "the indexes of each feed, and PostgreSQL's plan of a poll that is up to date",
            "an index is missing or invalid",
            "the plan reads the whole of a large table all the same",
            "`pillion outbox init`",
        ),
        Entry(
            "outbox.triggers",
            "the triggers of each table in `changes`, and those of `order: commit`",
            "missing or disabled, also on one partition: changes are no events",
            "of other settings or another version",
            "`pillion outbox init`",
        ),
        Entry(
            "outbox.functions",
            "whom the trigger functions belong to and how they run",
            "a superuser's rights; altered; their owner lacks a right",
            "",
            "`pillion outbox init`",
        ),
        Entry(
            "outbox.broker",
            "a link as the relay has it, and what is published to",
            "no answer, a refusal of user or password, a stream, topic or exchange that is not there and not to be "
            "made, a driver that is not installed, a scheme that is not known",
            "the broker may lose what it acknowledges, as far as it tells",
            "start it, create what is missing, or mend `outbox.broker.url(_file)`",
        ),
    ),
)

INBOX = Part(
    "The inbox",
    "Where the settings have topics. The broker is only knocked at: reading there would take messages from an agent.",
    (
        Entry(
            "inbox.database",
            "the inbox's tables",
            "no connection, or they are missing",
            "",
            "`pillion inbox init`, `inbox.database(_file)`",
        ),
        Entry(
            "inbox.dead",
            "dead letters",
            "",
            "some wait for a person",
            "`pillion inbox dead`, `replay`, `discard`",
        ),
        Entry(
            "inbox.broker", "the broker's port", "none of its hosts answers", "", "start it, or mend its URL"
        ),
    ),
)

KUBERNETES = Part(
    "Kubernetes",
    "With `--kubernetes`, instead of this machine.",
    (
        Entry(
            "kubernetes.version",
            "the API server",
            "it can't be asked, or has no native sidecars",
            "",
            "upgrade the cluster",
        ),
        Entry("kubernetes.nodes", "the nodes' kubelets", "some are too old", "", "upgrade these nodes"),
        Entry(
            "webhook.present",
            "the injector's webhook configuration",
            "there is none",
            "",
            "install the chart",
        ),
        Entry(
            "webhook.failure-policy",
            "its failure policy",
            "",
            "pods start without a sidecar while the injector is away",
            "Fail, as the chart has it",
        ),
        Entry(
            "webhook.ca",
            "the CA that the API server trusts",
            "there is none, or none that is valid",
            "it ends soon and was not replaced",
            "the injector's log",
        ),
        Entry(
            "webhook.ca-secret",
            "the CA that signs",
            "it is not the one that is trusted, or there is none",
            "",
            "see who writes the `caBundle`",
        ),
        Entry(
            "webhook.certificate",
            "the certificate that the injector was given",
            "it is not valid",
            "it ends soon",
            "as for the CA",
        ),
        Entry(
            "webhook.service",
            "its Service",
            "nobody answers behind it",
            "only one replica does",
            "two replicas",
        ),
        Entry(
            "injection.namespaces",
            "who asked for injection",
            "",
            "nobody, or by a word that opts nobody in",
            "the label",
        ),
        Entry(
            "injection.missing",
            "pods that are to have a sidecar",
            "",
            "some have none: they are older than their namespace's label, or than the webhook",
            "make them anew",
        ),
        Entry("injection.annotation", "pods that ask by an annotation", "", "nobody hears it", "a label"),
        Entry(
            "sidecars.native",
            "the sidecars' form",
            "some are ordinary containers, or gone",
            "",
            "make them anew",
        ),
        Entry(
            "sidecars.ready",
            "the sidecars' state",
            "some are not ready, with Kubernetes' reason",
            "",
            "their logs",
        ),
        Entry(
            "sidecars.version",
            "the sidecars' images",
            "",
            "some are older than the injector",
            "`rollout restart`",
        ),
        Entry(
            "jobs.end", "Jobs whose containers have ended", "their pods do not end", "", "the sidecar's log"
        ),
        Entry(
            "services.bypass",
            "Services",
            "",
            "they lead past the sidecar",
            "`targetPort: 15006`, a network policy",
        ),
        Entry(
            "consul.mode",
            "how sidecars register",
            "through an address behind which agents take turns",
            "through one server that stands alone",
            "`consul.address` by node, or catalogue mode",
        ),
        Entry(
            "consul.agents", "Consul's client on each node", "it is missing somewhere", "", "its DaemonSet"
        ),
        Entry("consul.sweep", "who removes what dead pods left", "nobody does", "", "the injector's pods"),
        Entry(
            "consul.service",
            "Consul's Service",
            "nobody answers behind it",
            "two servers: none may be lost",
            "three",
        ),
    ),
)

PARTS = (MACHINE, AGENT, CONSUL, TRACES, OUTBOX, INBOX, KUBERNETES)
