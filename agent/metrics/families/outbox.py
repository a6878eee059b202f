"""The relay. Every agent of a service stands by each feed; some of them relay it, each a share."""

from agent.metrics.declare import ANY, Kind, Metric, Unit, Where

TOPICS = 50
"""Topics with a series of their own; they may come from rows, so their number must have an end."""
ALL_BUCKETS = 64
"""Into how many a feed's keys fall."""
OTHERS = "(others)"
"""The topic under which the rest is counted."""

PUBLISHED = Metric(
    "pillion_outbox_published_total",
    Kind.COUNTER,
    "Events that the broker acknowledged.",
    labels={"feed": ANY, "topic": ANY},
    where=Where.OUTBOX,
    meaning=f"The first {TOPICS} topics have a series each, the rest are `{OTHERS}`.",
    late=True,
)
REFUSED = Metric(
    "pillion_outbox_refused_total",
    Kind.COUNTER,
    "Refusals of events, each try.",
    labels={"feed": ANY},
    where=Where.OUTBOX,
)
STOPPED = Metric(
    "pillion_outbox_stopped_buckets",
    Kind.GAUGE,
    "Buckets that stand still behind a refused event.",
    labels={"feed": ANY},
    where=Where.OUTBOX,
    meaning="A feed has 64 buckets of keys; the others go on.",
)
LAG = Metric(
    "pillion_outbox_lag_seconds",
    Kind.GAUGE,
    "Everything committed longer ago than this was published, as far as this agent knows of its share.",
    Unit.SECONDS,
    labels={"feed": ANY},
    where=Where.OUTBOX,
    meaning=(
        "Rises whenever nothing gets on: the broker or the database away, a bucket stopped, nobody relaying. An agent "
        "that relays nothing of the feed counts from when it last did, else from its start. So a feed's lag is the "
        "most of the agents that relay some of it, and the least of all where none does; of what nobody has, "
        "`pillion_outbox_buckets` tells."
    ),
)
ACTIVE = Metric(
    "pillion_outbox_active",
    Kind.GAUGE,
    "1 where this agent relays the feed or some of it.",
    Unit.TRUTH,
    labels={"feed": ANY},
    where=Where.OUTBOX,
)
BUCKETS = Metric(
    "pillion_outbox_buckets",
    Kind.GAUGE,
    "Buckets of the feed that this agent relays.",
    labels={"feed": ANY},
    where=Where.OUTBOX,
    meaning=(
        f"A feed has {ALL_BUCKETS} buckets of keys: over all agents of the service the sum is {ALL_BUCKETS} where all "
        "is well."
    ),
)
LOST = Metric(
    "pillion_outbox_lost_total",
    Kind.COUNTER,
    "Times that a share of a feed went to another relay unasked.",
    labels={"feed": ANY},
    where=Where.OUTBOX,
)
AWAY = Metric(
    "pillion_outbox_broker_away_total",
    Kind.COUNTER,
    "Times that the broker was lost or not had.",
    labels={"feed": ANY},
    where=Where.OUTBOX,
)
PAGE = Metric(
    "pillion_outbox_page_seconds",
    Kind.HISTOGRAM,
    "Time from a page's first send to its last answer.",
    Unit.SECONDS,
    labels={"feed": ANY},
    where=Where.OUTBOX,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
DATABASE = Metric(
    "pillion_outbox_database_latency_seconds",
    Kind.GAUGE,
    "How long the service's database takes to answer the relay a question that asks for next to nothing.",
    Unit.SECONDS,
    labels={"feed": ANY},
    where=Where.OUTBOX,
    meaning="Smoothed, and measured only while there are events. See `outbox.max_db_latency`.",
)
CLEANED = Metric(
    "pillion_outbox_cleaned_rows_total",
    Kind.COUNTER,
    "Published rows deleted.",
    labels={"feed": ANY},
    where=Where.OUTBOX,
)
STATES = ("held", "parked", "replaying")
HELD_KEYS = Metric(
    "pillion_outbox_held_keys",
    Kind.GAUGE,
    "Keys that are set aside.",
    labels={"feed": ANY, "state": STATES},
    where=Where.OUTBOX,
    meaning=(
        "`held`: tried again by itself; `parked`: waits for a person; `replaying`: is being sent. Of the whole feed, "
        "as an agent that relays it last counted: take the largest over all agents."
    ),
)
HELD_ROWS = Metric(
    "pillion_outbox_held_rows",
    Kind.GAUGE,
    "Rows of keys that are set aside.",
    labels={"feed": ANY},
    where=Where.OUTBOX,
    meaning="At `outbox.held_rows` a bucket stops.",
)
HELD_OLDEST = Metric(
    "pillion_outbox_held_oldest_seconds",
    Kind.GAUGE,
    "Since when the first of the keys that are set aside is.",
    Unit.SECONDS,
    labels={"feed": ANY},
    where=Where.OUTBOX,
    meaning="0 where there are none.",
)
SKIPPED = Metric(
    "pillion_outbox_skipped_total",
    Kind.COUNTER,
    "Refused events that were left out, as `outbox.on_refused` says.",
    labels={"feed": ANY},
    where=Where.OUTBOX,
    meaning="Each is recorded in `held_audit`.",
)

ALL = (
    PUBLISHED, REFUSED, STOPPED, LAG, ACTIVE, BUCKETS, LOST, AWAY, PAGE, DATABASE, CLEANED, HELD_KEYS, HELD_ROWS,
    HELD_OLDEST, SKIPPED,
)  # fmt: skip
