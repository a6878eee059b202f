"""The inbox. Each partition of a topic is with one instance of the service."""

from agent.metrics.declare import ANY, Kind, Metric, Unit, Where

RESULTS = ("done", "again", "dead", "duplicate")

MESSAGES = Metric(
    "pillion_inbox_messages_total",
    Kind.COUNTER,
    "Messages by what became of them.",
    labels={"topic": ANY, "result": RESULTS},
    where=Where.INBOX,
    meaning=(
        "`done`: the service answered 2xx; `again`: it failed, each try; `dead`: set aside; `duplicate`: done before, "
        "so the service was not asked."
    ),
)
PARTITIONS = Metric(
    "pillion_inbox_partitions",
    Kind.GAUGE,
    "Partitions of the topic that this agent has.",
    labels={"topic": ANY},
    where=Where.INBOX,
)
SECONDS = Metric(
    "pillion_inbox_seconds",
    Kind.HISTOGRAM,
    "Time that the service took for a message, each try.",
    Unit.SECONDS,
    labels={"topic": ANY},
    where=Where.INBOX,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)

ALL = (MESSAGES, PARTITIONS, SECONDS)
