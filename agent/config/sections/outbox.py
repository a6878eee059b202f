"""The outbox relay."""

from typing import Annotated, Literal

import msgspec

from agent.config.declare import Section, about

TABLE = r"^[^\s.\"]{1,63}(\.[^\s.\"]{1,63})?$"

ColumnField = Annotated[
    str,
    about(
        "Field of an event.",
        pattern="^(id|aggregatetype|key|type|payload|traceparent)$",
        form="id, aggregatetype, key, type, payload or traceparent",
    ),
]
Operation = Annotated[
    str, about("Operation.", pattern="^(insert|update|delete)$", form="insert, update or delete")
]


class Table(Section, frozen=True):
    """An outbox table that the service writes itself."""

    table: Annotated[str, about("Table, as NAME or SCHEMA.NAME.", pattern=TABLE, form="NAME or SCHEMA.NAME")]
    preset: Annotated[
        Literal["pillion", "debezium", "eventuate", "masstransit", "open-outbox"],
        about("Names of its columns, and its topic."),
    ] = "pillion"
    columns: Annotated[
        dict[ColumnField, str],
        about(
            "Column of each field where it differs from the preset: id, aggregatetype, key, type, payload,"
            " traceparent; COLUMN->>NAME is a member of a column that holds a JSON object."
        ),
    ] = msgspec.field(default_factory=dict)
    topic: Annotated[
        str,
        about(
            "Subject. Empty: {service}.{table}, with the presets debezium, eventuate and open-outbox"
            " outbox.event.{aggregatetype}."
        ),
    ] = ""
    order: Annotated[
        Literal["statement", "commit"],
        about(
            "When an event gets its place: as its row is written, or as its transaction commits, which is for a"
            " service that writes the event before it locks what the event is about, and writes each row twice."
        ),
    ] = "statement"


class Changes(Section, frozen=True):
    """A table whose changes become events without the service writing any."""

    table: Annotated[str, about("Table, as NAME or SCHEMA.NAME.", pattern=TABLE, form="NAME or SCHEMA.NAME")]
    key: Annotated[tuple[str, ...], about("Columns of the event's key. Empty: the primary key.")] = ()
    operations: Annotated[
        tuple[Literal["insert", "update", "delete"], ...], about("Which changes become events.")
    ] = (
        "insert",
        "update",
        "delete",
    )
    only: Annotated[
        tuple[str, ...],
        about(
            "An update is an event only if one of these columns or the key changed. Empty: whichever changed."
        ),
    ] = ()
    include: Annotated[tuple[str, ...], about("Columns in the event. Empty: all.")] = ()
    exclude: Annotated[tuple[str, ...], about("Columns left out.")] = ()
    mask: Annotated[tuple[str, ...], about("Columns whose values are replaced by ***.")] = ()
    types: Annotated[
        dict[Operation, str], about("Event type per operation. Absent: <table>.created, .updated, .deleted.")
    ] = msgspec.field(default_factory=dict)
    topic: Annotated[str, about("Subject. Empty: {service}.{table}.")] = ""
    on_error: Annotated[
        Literal["fail", "record"],
        about("When an event can't be made: fail the service's write, or record the failure and go on."),
    ] = "fail"


class Broker(Section, frozen=True):
    """Where events go."""

    url: Annotated[
        str, about("Broker, such as nats://127.0.0.1:4222; may hold credentials.", secret=True)
    ] = ""
    url_file: Annotated[str, about("File that holds the URL.")] = ""
    ca_cert: Annotated[
        str,
        about("File of the CA certificates that check the broker's. Empty: the system's."),
    ] = ""
    stream: Annotated[str, about("JetStream's stream, RabbitMQ's exchange. Empty: the service's name.")] = ""
    create: Annotated[bool, about("Create a missing stream, topic or exchange.")] = False
    timeout: Annotated[float, about("How long an acknowledgement may take.", unit="s", gt=0)] = 5.0
    replicas: Annotated[
        int,
        about(
            "Redis: replicas that must have an event before it counts as published. 0: none is waited for.",
            ge=0,
            le=100,
        ),
    ] = 0
    secret: Annotated[
        str,
        about(
            "HTTP: what requests are signed with (Standard Webhooks), whsec_ and base64 of 24 to 64 bytes;"
            " several, apart by spaces, while one replaces another. Empty: not signed.",
            secret=True,
        ),
    ] = ""
    secret_file: Annotated[str, about("File that holds the secret.")] = ""
    connections: Annotated[
        int, about("HTTP: connections, and with them requests, at once.", ge=1, le=1000)
    ] = 32


class Outbox(Section, frozen=True):
    """Rows of the service's PostgreSQL become events on a broker. Without tables and changes it is off."""

    database: Annotated[
        str, about("The service's database, postgresql://…; may hold a password.", secret=True)
    ] = ""
    database_file: Annotated[str, about("File that holds the database's URL.")] = ""
    schema: Annotated[
        str,
        about(
            "Schema of Pillion's own tables.",
            pattern="^[a-z_][a-z0-9_]{0,62}$",
            form="a to z, 0 to 9 and _, at most 63",
        ),
    ] = "pillion"
    tables: Annotated[tuple[Table, ...], about("Outbox tables that the service writes.")] = ()
    changes: Annotated[tuple[Changes, ...], about("Tables whose changes become events.")] = ()
    partitions: Annotated[
        int,
        about(
            "Topics that each topic is spread over by key, TOPIC.0, TOPIC.1, …, so that consumers can share them in "
            "order; 2, 4, 8, … spread evenly. 1: none is spread. Changing it moves keys: let consumers catch up first.",
            ge=1,
            le=64,
        ),
    ] = 1
    broker: Broker = Broker()
    relays: Annotated[
        int,
        about(
            "Agents that share the relaying of a feed at the most; the others stand by without a connection. 1: one"
            " relays all.",
            ge=1,
            le=64,
        ),
    ] = 2
    require_durable: Annotated[
        bool,
        about(
            "Publish nothing while the broker may lose what it acknowledged, as far as its configuration tells; false:"
            " that is only a warning. Not with HTTP, where nothing is told."
        ),
    ] = False
    lease: Annotated[
        float, about("A relay whose beat stands still for this long loses its share.", unit="s", ge=1)
    ] = 10.0
    on_refused: Annotated[
        Literal["park", "skip", "block"],
        about(
            "What becomes of an event that the broker refuses for good: park its key until a person decides, skip"
            " the event alone (recorded) where it is bad itself, as too large, and park it where its topic is, or block"
            " its bucket of keys."
        ),
    ] = "park"
    hold_after: Annotated[
        float,
        about(
            "A key whose message fails for this long while others get through is held: set aside and tried again by"
            " itself. Until then its bucket of keys waits. 0: never.",
            unit="s",
            ge=0,
        ),
    ] = 30.0
    held_key_rows: Annotated[
        int, about("The most rows of one key that are set aside; then its bucket stops.", ge=1, le=1000000)
    ] = 10000
    held_rows: Annotated[
        int, about("The most rows of a feed that are set aside; then buckets stop.", ge=1, le=1000000)
    ] = 100000
    page: Annotated[int, about("Rows read at once.", ge=10, le=10000)] = 1000
    drain_rate: Annotated[
        float,
        about(
            "The most events of a feed that are published in a second, for what reads them can take only so many when a"
            " backlog comes. Below what the service writes, events fall behind for ever. 0: as fast as they are"
            " acknowledged; a broker that was away begins at 1000, doubled every second.",
            ge=0,
        ),
    ] = 0.0
    max_db_latency: Annotated[
        float,
        about(
            "When the database answers the relay later than this, the distance left out, the relay slows down, so that"
            " the service comes first. 0: never.",
            unit="s",
            ge=0,
        ),
    ] = 0.1
    retention: Annotated[
        float, about("How long published rows of Pillion's own table are kept. 0: for ever.", unit="s", ge=0)
    ] = 86400.0
