"""What the relay counts."""

from collections import Counter
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry

from agent.metrics import make
from agent.metrics.families import outbox as declared


class Metrics:
    """The relay's metrics, all by feed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.published = make.counter(declared.PUBLISHED, registry)
        self.refused = make.counter(declared.REFUSED, registry)
        self.stopped = make.gauge(declared.STOPPED, registry)
        self.lag = make.gauge(declared.LAG, registry)
        self.active = make.gauge(declared.ACTIVE, registry)
        self.buckets = make.gauge(declared.BUCKETS, registry)
        self.lost = make.counter(declared.LOST, registry)
        self.away = make.counter(declared.AWAY, registry)
        self.page = make.histogram(declared.PAGE, registry)
        self.database = make.gauge(declared.DATABASE, registry)
        self.cleaned = make.counter(declared.CLEANED, registry)
        self.held_keys = make.gauge(declared.HELD_KEYS, registry)
        self.held_rows = make.gauge(declared.HELD_ROWS, registry)
        self.held_oldest = make.gauge(declared.HELD_OLDEST, registry)
        self.skipped = make.counter(declared.SKIPPED, registry)
        self._topics: set[tuple[str, str]] = set()

    def stand_by(self, feed: str, topics: Iterable[str]) -> None:
        """Show the feed from now on, though this agent may never relay it. ``topics`` are those known already."""
        self.active.labels(feed).set(0)
        self.buckets.labels(feed).set(0)
        self.stopped.labels(feed).set(0)
        for counter in (self.refused, self.lost, self.away, self.cleaned, self.skipped):
            counter.labels(feed)
        self.page.labels(feed)
        self.database.labels(feed)
        self.set_aside(feed, {}, 0, 0.0)
        self.acknowledged(feed, topics, 0)

    def set_aside(self, feed: str, keys: Mapping[str, int], rows: int, oldest: float) -> None:
        """Show how much is set aside: keys by state, rows, and since when in seconds."""
        for state in declared.STATES:
            self.held_keys.labels(feed, state).set(keys.get(state, 0))
        self.held_rows.labels(feed).set(rows)
        self.held_oldest.labels(feed).set(oldest)

    def acknowledged(self, feed: str, topics: Iterable[str], each: int = 1) -> None:
        """Count the events that the broker acknowledged; ``topics`` names each one's."""
        for topic, number in Counter(topics).items():
            self.published.labels(feed, self._bounded(feed, topic)).inc(number * each)

    def _bounded(self, feed: str, topic: str) -> str:
        # A topic may come from a row: without an end each new one would stay in memory for ever.
        if (feed, topic) not in self._topics and len(self._topics) >= declared.TOPICS:
            return declared.OTHERS
        self._topics.add((feed, topic))
        return topic
