"""The rigs by name; a broker that is added gets a line here."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.integration.outbox.brokers.http_rig import HttpRig
from tests.integration.outbox.brokers.kafka_rig import KafkaRig
from tests.integration.outbox.brokers.nats_rig import NatsRig
from tests.integration.outbox.brokers.rabbitmq_rig import RabbitRig
from tests.integration.outbox.brokers.redis_rig import RedisRig
from tests.integration.outbox.brokers.rig import Certificates, Rig

RIGS: Mapping[str, Callable[[Path, Certificates], Rig]] = {
    "nats": NatsRig,
    "kafka": KafkaRig,
    "rabbitmq": RabbitRig,
    "redis": RedisRig,
    "http": HttpRig,
}
"""Makes the broker's rig in an empty folder of its own; nothing is started yet. May skip the test, with the
reason, where the server is not to be had."""

LACKS: Mapping[str, frozenset[str]] = {
    "nats": NatsRig.lacks,
    "kafka": KafkaRig.lacks,
    "rabbitmq": RabbitRig.lacks,
    "redis": RedisRig.lacks,
    "http": HttpRig.lacks,
}
"""What each has no test of, see ``Rig.lacks``."""
