"""The inbox: messages of a broker are posted to the service."""

from typing import Annotated, Literal

from agent.config.declare import MOST_BYTES, Section, about


class InboxTopic(Section, frozen=True):
    """A topic whose messages the service gets."""

    topic: Annotated[
        str,
        about(
            "Topic such as orders.orders: a subject of NATS, a topic of Kafka, a routing key of RabbitMQ (its queue is "
            "CONSUMER.TOPIC), a stream of Redis.",
            pattern=r"^[^\s\x00-\x1f\x7f]{1,255}$",
            form="a topic without spaces",
        ),
    ]
    path: Annotated[
        str,
        about(
            "Path of the service to which each message is posted.",
            pattern=r"^/[!-~]{0,1023}$",
            form="a path that begins with /",
        ),
    ]
    partitions: Annotated[
        int,
        about(
            "Into how many topics TOPIC.0, TOPIC.1, … it is published, as outbox.partitions says there; with Kafka how "
            "many partitions the topic itself has. Several instances share them. 1: one instance at a time gets "
            "all of its messages.",
            ge=1,
            le=64,
        ),
    ] = 1


class InboxBroker(Section, frozen=True):
    """Where messages come from."""

    url: Annotated[
        str,
        about(
            "Broker, such as nats://127.0.0.1:4222; may hold credentials. Empty: outbox.broker.url.",
            secret=True,
        ),
    ] = ""
    url_file: Annotated[str, about("File that holds the URL.")] = ""
    ca_cert: Annotated[
        str,
        about(
            "File of the CA certificates that check the broker's. Empty: the system's; where the URL is that of the "
            "outbox, outbox.broker.ca_cert."
        ),
    ] = ""
    exchange: Annotated[
        str,
        about(
            "RabbitMQ: topic exchange, such as outbox.broker.stream says there. A queue that is missing is made and "
            "bound to it. Empty: queues must exist."
        ),
    ] = ""
    start: Annotated[
        Literal["all", "new"],
        about(
            "What a consumer that the broker does not know yet gets: all that is kept, or only what comes. A queue of "
            "RabbitMQ hands out all that it holds."
        ),
    ] = "all"
    ack_wait: Annotated[
        float,
        about(
            "NATS: how long the server waits for a word about a message; one is given every third of it, however long "
            "the service takes.",
            unit="s",
            ge=1,
        ),
    ] = 30.0
    held: Annotated[
        int,
        about(
            "Messages of a partition that may be open at once. One whose key waits for a retry is one of them: "
            "where as many wait, the partition waits.",
            ge=1,
            le=10000,
        ),
    ] = 256


class Inbox(Section, frozen=True):
    """Messages of a broker are posted to the service as CloudEvents. Without topics it is off."""

    topics: Annotated[tuple[InboxTopic, ...], about("Topics that the service gets.")] = ()
    broker: InboxBroker = InboxBroker()
    consumer: Annotated[
        str,
        about(
            "Name under which it is remembered what was done. Empty: the service's name.",
            pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,62})?$",
            form="letters, digits, _ and -, at most 63",
        ),
    ] = ""
    dedupe: Annotated[
        Literal["database", "none"],
        about(
            "Where it is remembered what was done. none: nowhere; one instance at a time gets a topic's messages, "
            "one that comes twice is posted twice, and what the service refuses is dropped."
        ),
    ] = "database"
    database: Annotated[
        str,
        about(
            "The consumer's database, postgresql://…; may hold a password. Empty: outbox.database.",
            secret=True,
        ),
    ] = ""
    database_file: Annotated[str, about("File that holds the database's URL.")] = ""
    schema: Annotated[
        str,
        about(
            "Schema of the inbox's own tables; not that of the outbox.",
            pattern="^[a-z_][a-z0-9_]{0,62}$",
            form="a to z, 0 to 9 and _, at most 63",
        ),
    ] = "pillion_inbox"
    concurrency: Annotated[
        int, about("Messages that the service works on at once; of a key always one.", ge=1, le=1000)
    ] = 8
    timeout: Annotated[
        float,
        about("How long the service may take for a message; then it counts as failed.", unit="s", gt=0),
    ] = 30.0
    retry_first: Annotated[float, about("Pause before the second try of a message.", unit="s", gt=0)] = 0.2
    retry_last: Annotated[
        float, about("The longest pause; each is twice the one before.", unit="s", gt=0)
    ] = 30.0
    max_attempts: Annotated[
        int, about("Tries after which a message is a dead letter. 0: no limit.", ge=0)
    ] = 0
    max_age: Annotated[
        float,
        about(
            "How long after its first failure a message is still tried; then it is a dead letter. 0: for ever.",
            unit="s",
            ge=0,
        ),
    ] = 86400.0
    dead: Annotated[
        Literal["go-on", "park-key"],
        about(
            "What becomes of the later messages of a dead letter's key: they go on, or are set aside behind it."
        ),
    ] = "go-on"
    dead_body: Annotated[
        int,
        about(
            "Bytes of a dead letter's body that are kept; one that is longer is cut and can't be replayed.",
            unit="B",
            ge=0,
            le=MOST_BYTES,
        ),
    ] = 1048576
    window: Annotated[
        float,
        about(
            "How long it is remembered what was done: at least as long as the outbox and the broker keep a message. "
            "0: for ever.",
            unit="s",
            ge=0,
        ),
    ] = 604800.0
    lease: Annotated[
        float,
        about("An instance whose beat stands still for this long loses its partitions.", unit="s", ge=1),
    ] = 10.0
