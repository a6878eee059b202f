"""What the relay counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The relay's metrics, all by feed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        by = ["feed"]
        self.published = Counter(
            "pillion_outbox_published", "Events that the broker acknowledged.", by, registry=registry
        )
        self.refused = Counter(
            "pillion_outbox_refused", "Refusals of events, each try.", by, registry=registry
        )
        self.stopped = Gauge(
            "pillion_outbox_stopped_buckets",
            "Buckets that stand still behind a refused event.",
            by,
            registry=registry,
        )
        self.lag = Gauge(
            "pillion_outbox_lag_seconds",
            "Everything committed longer ago than this was published.",
            by,
            registry=registry,
        )
        self.active = Gauge(
            "pillion_outbox_active", "1 where this agent relays the feed.", by, registry=registry
        )
        self.lost = Counter(
            "pillion_outbox_lost", "Times that a feed went to another relay unasked.", by, registry=registry
        )
        self.away = Counter(
            "pillion_outbox_broker_away", "Times that the broker was lost or not had.", by, registry=registry
        )
        self.page = Histogram(
            "pillion_outbox_page_seconds",
            "Time from a page's first send to its last answer.",
            by,
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self.cleaned = Counter(
            "pillion_outbox_cleaned_rows", "Published rows deleted.", by, registry=registry
        )
