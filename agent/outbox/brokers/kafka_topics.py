"""What Kafka says of its topics: whether they are there, what they take, and how durable they are.

Blocking; called in threads. Sources: Apache Kafka documentation, "Topic configs" and "Broker configs";
librdkafka, CONFIGURATION.md.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from agent.outbox.brokers.durable import demand
from agent.runtime.errors import Permanent, Transient

LIMIT = 1048588
"""Bytes that a topic takes at once where it was not to be learned: Kafka's own default."""
_SHOWN = 3
_Rule = tuple[Callable[[str], bool], str]
_REFUSED = {
    KafkaError._AUTHENTICATION: "see outbox.broker.url",  # noqa: SLF001 - the library's own errors are named so
    KafkaError._SSL: "see outbox.broker.ca_cert",  # noqa: SLF001
}


@dataclass(frozen=True)
class Looked:
    """What is known of some topics."""

    limits: Mapping[str, int]
    """By each topic that is there: how many bytes it takes at once."""
    warnings: tuple[str, ...] = ()


class Topics:
    """The topics of one cluster, over a connection of its own that ends with this."""

    def __init__(
        self, config: Mapping[str, Any], timeout: float, *, create: bool, durable: bool = False
    ) -> None:
        """``config`` as librdkafka wants it; raises Permanent where it can't be worked with. ``durable``: topics that
        may lose what they acknowledged are refused."""
        self._durable = durable
        self._timeout = timeout
        self._create = create
        self._said = ""
        self._refused: Permanent | None = None
        full: dict[str, Any] = {**config, "error_cb": self._error}
        try:
            self._open: AdminClient | None = AdminClient(full)
        except KafkaException as error:
            raise Permanent(f"connecting to Kafka: {words(error.args[0])}") from error

    def look(self, names: Sequence[str]) -> Looked:
        """What is known of these, made where they are missing and that is wanted; absent: there is none.

        Raises Transient or Permanent.
        """
        if not names:
            self._answer(self._admin.describe_cluster(request_timeout=self._timeout), "connecting to Kafka")
            return Looked({})
        there = self._there(names)
        missing = [name for name in names if name not in there]
        if missing and self._create:
            self._make(missing)
            there |= self._there(missing)
        configs = self._configs(there)
        if self._durable:
            demand("looking at Kafka's topics", losses(there, configs))
        limits = {name: _number(configs[name], "max.message.bytes", LIMIT) for name in there}
        return Looked(limits, warnings(there, configs))

    def close(self) -> None:
        """Ask nothing more."""
        self._open = None

    @property
    def _admin(self) -> AdminClient:
        # A thread may still ask after the link is closed.
        if self._open is None:
            raise Transient("asking Kafka: the link is closed")
        return self._open

    def answers(self) -> bool:
        """Whether the cluster answers just now."""
        try:
            self._answer(self._admin.describe_cluster(request_timeout=self._timeout), "asking Kafka")
        except (Transient, Permanent):
            return False
        return True

    def _there(self, names: Iterable[str]) -> dict[str, int]:
        """The least number of replicas by topic; 0 where it may not be looked at."""
        wanted = TopicCollection(list(names))
        asked = self._admin.describe_topics(wanted, request_timeout=self._timeout)
        found: dict[str, int] = {}
        for name, future in asked.items():
            try:
                told = self._answer(future, f"looking at Kafka's topic {name}")
            except _SaidError as error:
                if error.code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    found[name] = 0
                elif error.code != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
            else:
                found[name] = min((len(each.replicas) for each in told.partitions), default=0)
        return found

    def _make(self, names: Sequence[str]) -> None:
        # Partitions, and replicas if nothing more is asked for, are the cluster's own defaults.
        replicas, config = (3, {"min.insync.replicas": "2"}) if self._durable else (-1, {})
        asked = self._admin.create_topics(
            [NewTopic(name, -1, replicas, config=config) for name in names], request_timeout=self._timeout
        )
        for name, future in asked.items():
            try:
                self._answer(future, f"making Kafka's topic {name}")
            except _SaidError as error:
                if error.code != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
        deadline = time.monotonic() + self._timeout
        # Made is not known everywhere yet.
        while time.monotonic() < deadline and len(self._there(names)) < len(names):
            time.sleep(0.05)

    def _configs(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """Each topic's configuration; empty where it may not be read."""
        wanted = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        if not wanted:
            return {}
        found: dict[str, dict[str, str]] = {}
        for resource, future in self._admin.describe_configs(wanted, request_timeout=self._timeout).items():
            try:
                told = self._answer(future, f"reading the configuration of Kafka's topic {resource.name}")
                found[resource.name] = {key: entry.value or "" for key, entry in told.items()}
            except _SaidError:
                found[resource.name] = {}
        return found

    def _answer(self, future: "Future[Any]", doing: str) -> Any:
        """What was asked for; raises Transient or Permanent."""
        deadline = time.monotonic() + self._timeout + 1
        while not future.done() and time.monotonic() < deadline:
            self._admin.poll(0.02)
            if self._refused is not None:
                raise self._refused
        try:
            return future.result(0)
        except KafkaException as error:
            self._admin.poll(0)  # why, where that came last
            if self._refused is not None:
                raise self._refused from error
            code = error.args[0].code()
            if code < 0:  # the library's own: nobody answered
                raise Transient(f"{doing}: {self._said or words(error.args[0])}; is it running?") from error
            raise _SaidError(f"{doing}: Kafka says: {words(error.args[0])}", code) from error
        except TimeoutError as error:
            raise Transient(f"{doing}: {self._said or 'no answer'}; is it running?") from error

    def _error(self, error: KafkaError) -> None:
        self._said = words(error)
        if error.code() in _REFUSED:
            self._refused = refusal(error)


class _SaidError(Transient):
    """Kafka answered with an error."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def refusal(error: KafkaError) -> Permanent | None:
    """The error that says so where the cluster does not let us in, or is not the one that we know."""
    where = _REFUSED.get(error.code())
    return Permanent(f"connecting to Kafka: {words(error)}; {where}") if where else None


def words(error: KafkaError) -> str:
    """What an error says, on one line and not endless: part of it comes from the network."""
    text = " ".join(str(error.str()).split())
    return "".join(char for char in text if char.isprintable())[:300]


def warnings(replicas: Mapping[str, int], configs: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """What makes an acknowledgement of these topics less durable than it sounds."""
    aged: _Rule = (
        lambda name: (
            "delete" in configs[name].get("cleanup.policy", "")
            and any(_number(configs[name], each, -1) >= 0 for each in ("retention.ms", "retention.bytes"))
        ),
        "the topic drops events by age or size, read or not; set retention.ms to -1, or read in time",
    )
    return (*losses(replicas, configs), *_told((aged,), replicas))


def losses(replicas: Mapping[str, int], configs: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Why these topics may lose what they acknowledged, however soon it is read, or why nothing is known of it."""
    rules: tuple[_Rule, ...] = (
        (
            lambda name: 0 < replicas[name] < 3,
            "fewer than three replicas: the loss of a disk may lose events; set the replication factor to 3",
        ),
        (
            lambda name: _number(configs[name], "min.insync.replicas", 2) < 2,
            "an event is acknowledged with one copy; set min.insync.replicas to 2",
        ),
        (
            lambda name: configs[name].get("unclean.leader.election.enable") == "true",
            "a replica that missed events may lead; set unclean.leader.election.enable to false",
        ),
        (
            lambda name: "compact" in configs[name].get("cleanup.policy", ""),
            "the topic keeps the newest event of a key only; set cleanup.policy to delete",
        ),
        (
            lambda name: not configs[name],
            "its configuration may not be read, so that nothing is known; allow DescribeConfigs",
        ),
    )
    return _told(rules, replicas)


def _told(rules: Iterable[_Rule], replicas: Mapping[str, int]) -> tuple[str, ...]:
    found = []
    for applies, text in rules:
        names = sorted(name for name in replicas if applies(name))
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            found.append(f"{', '.join(names[:_SHOWN])}{more}: {text}")
    return tuple(found)


def _number(config: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(config.get(name, default))
    except ValueError:
        return default
