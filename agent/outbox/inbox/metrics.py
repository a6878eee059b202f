"""What the inbox counts."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry

from agent.metrics import make
from agent.metrics.families import inbox as declared


class Metrics:
    """The inbox's metrics, by topic as it is set."""

    def __init__(self, registry: CollectorRegistry, topics: Iterable[str]) -> None:
        self.messages = make.counter(declared.MESSAGES, registry)
        self.partitions = make.gauge(declared.PARTITIONS, registry)
        self.seconds = make.histogram(declared.SECONDS, registry)
        for topic in topics:
            self.partitions.labels(topic).set(0)
            self.seconds.labels(topic)
            for result in declared.RESULTS:
                self.messages.labels(topic, result)

    @contextmanager
    def took(self, topic: str) -> Iterator[None]:
        """Measure what the body takes."""
        with self.seconds.labels(topic).time():
            yield
