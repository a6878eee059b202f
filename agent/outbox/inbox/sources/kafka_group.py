"""Who is a member of a group of Kafka."""

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from agent.outbox.brokers.kafka_topics import words
from agent.runtime.errors import Transient


def members(config: Mapping[str, Any], group: str, patience: float) -> int:
    """How many it has; blocks, ``patience`` seconds at most. ``config`` says how the cluster is reached. Raises
    Transient."""
    doing = f"looking at Kafka's group {group}"
    admin = AdminClient(dict(config))
    asked = admin.describe_consumer_groups([group], request_timeout=patience)[group]
    until = time.monotonic() + patience + 1
    while not asked.done() and time.monotonic() < until:
        admin.poll(0.02)
    try:
        return len(asked.result(0).members)
    except KafkaException as error:
        raise Transient(f"{doing}: {words(error.args[0])}") from error
    except TimeoutError as error:
        raise Transient(f"{doing}: no answer; is it running?") from error
