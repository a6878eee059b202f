"""What the relay shows before and beside what it counts."""

from prometheus_client import CollectorRegistry

from agent.metrics.families import outbox as declared
from agent.outbox.metrics import Metrics


def test_a_feed_that_was_never_relayed_here_is_shown_at_zero() -> None:
    registry = CollectorRegistry()
    Metrics(registry).stand_by("f", ["t"])
    for metric in declared.ALL:
        labels = {"feed": "f"}
        labels |= {"topic": "t"} if "topic" in metric.labels else {}
        labels |= {"state": "held"} if "state" in metric.labels else {}
        if metric is not declared.LAG:
            name = metric.name if metric.kind != "histogram" else f"{metric.name}_count"
            assert registry.get_sample_value(name, labels) == 0, name


def test_events_are_counted_by_topic() -> None:
    registry = CollectorRegistry()
    Metrics(registry).acknowledged("f", ["a", "b", "a"])
    assert registry.get_sample_value(declared.PUBLISHED.name, {"feed": "f", "topic": "a"}) == 2
    assert registry.get_sample_value(declared.PUBLISHED.name, {"feed": "f", "topic": "b"}) == 1


def test_topics_beyond_the_limit_share_a_series_and_the_first_keep_theirs() -> None:
    """A topic may come from a row: a service that names each after an order must not fill the memory."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.acknowledged("f", (str(number) for number in range(declared.TOPICS + 7)))
    metrics.acknowledged("f", ["0"])
    assert registry.get_sample_value(declared.PUBLISHED.name, {"feed": "f", "topic": "0"}) == 2
    assert registry.get_sample_value(declared.PUBLISHED.name, {"feed": "f", "topic": declared.OTHERS}) == 7
    shown = [
        each
        for family in registry.collect()
        for each in family.samples
        if each.name == declared.PUBLISHED.name
    ]
    assert len(shown) == declared.TOPICS + 1
