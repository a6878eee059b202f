"""From a catalogue to a configuration that Envoy runs."""

from agent.metrics.declare import Kind, Metric, Unit, one_of

_TYPES = one_of("cluster", "endpoint", "listener", "route")

PLANS = Metric(
    "pillion_plan_seconds",
    Kind.HISTOGRAM,
    "Time to plan Envoy's configuration from the catalogue and the settings.",
    Unit.SECONDS,
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2),
)
PLAN_FAILURES = Metric(
    "pillion_plan_failures_total", Kind.COUNTER, "Plans that failed; the former configuration stayed."
)
STREAMS = Metric(
    "pillion_xds_streams_total",
    Kind.COUNTER,
    "Streams that an Envoy opened.",
    meaning="One for each start of agent or Envoy; more of them are reconnections.",
)
RESPONSES = Metric(
    "pillion_xds_responses_total",
    Kind.COUNTER,
    "Responses sent to Envoy, by type of resource.",
    labels={"type": _TYPES},
)
REFUSALS = Metric(
    "pillion_xds_refusals_total",
    Kind.COUNTER,
    "Updates that Envoy refused or that could not be encoded, by type of resource.",
    labels={"type": _TYPES},
    meaning="The last accepted configuration stays in force; `pillion status` shows Envoy's own message.",
)
CONNECTED = Metric("pillion_xds_connected", Kind.GAUGE, "1 while an Envoy is on the stream.", Unit.TRUTH)
UP_TO_DATE = Metric(
    "pillion_xds_up_to_date",
    Kind.GAUGE,
    "1 while the newest configuration is the one in force.",
    Unit.TRUTH,
)
DELIVERY = Metric(
    "pillion_xds_delivery_seconds",
    Kind.HISTOGRAM,
    "From a new configuration to its acceptance as a whole.",
    Unit.SECONDS,
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60),
)
LEFT_OUT = Metric(
    "pillion_plan_left_out",
    Kind.GAUGE,
    "Instances, routes and services in the registry that no plan can use.",
    meaning="`pillion status` has a sentence for each. Whole services beyond the limit of 100 are counted apart.",
)
CONFLICTS = Metric(
    "pillion_plan_conflicts",
    Kind.GAUGE,
    "Path prefixes that more than one service asks the gateway for, once for each that does not get it.",
    meaning="Only a gateway has any; `pillion status` says who got it.",
)

ALL = (
    PLANS, PLAN_FAILURES, STREAMS, RESPONSES, REFUSALS, CONNECTED, UP_TO_DATE, DELIVERY, LEFT_OUT, CONFLICTS,
)  # fmt: skip
