"""Who gets which secret, in which file and form. One volume per consumer, owned by the user that it runs as."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from access.values import Make, Values, password, replace, token

PILLION = (65532, 65532)
SERVICE = (10001, 10001)
POSTGRES = (999, 999)
CONSUL = (100, 1000)
NATS = (1000, 1000)
GRAFANA = (472, 0)
KAFKA = (1000, 1000)

AGENTS = {
    "storefront": "storefront",
    "orders-v1": "orders",
    "orders-v2": "orders",
    "inventory-a": "inventory",
    "inventory-b": "inventory",
}
"""The service that each agent speaks for."""

_READ = """service_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
agent_prefix "" { policy = "read" }
"""


def _agent(service: str) -> str:
    return f"""{_READ}service "{service}" {{ policy = "write" }}
key_prefix "config/{service}/" {{ policy = "read" }}
key_prefix "config/_shared/" {{ policy = "read" }}
key "pillion/{service}" {{ policy = "read" }}
"""


POLICIES: Mapping[str, str] = {
    "consul-server": 'node_prefix "" { policy = "write" }\nservice_prefix "" { policy = "read" }\n',
    "consul-dns": 'node_prefix "" { policy = "read" }\nservice_prefix "" { policy = "read" }\n',
    "consul-operator": _READ + 'key_prefix "" { policy = "write" }\n',
    "consul-backup": "",  # a snapshot needs all rights: Consul's own policy global-management
    "consul-gateway": _READ + 'key "pillion/gateway" { policy = "read" }\n',
    **{f"consul-{agent}": _agent(service) for agent, service in AGENTS.items()},
}
"""What each Consul token may do, in Consul's rule language."""

ROLES = {"orders": "orders", "install": "pillion_install", "relay": "pillion_relay", "backup": "backup"}
"""PostgreSQL's role behind each password ``postgres-NAME``."""

VALUES: Mapping[str, Make] = {
    "consul-management": token,
    **dict.fromkeys(POLICIES, token),
    "postgres-superuser": password,
    **{f"postgres-{name}": password for name in ROLES},
    "nats-orders": password,
    "nats-operator": password,
    "kafka-orders": password,
    "kafka-operator": password,
    "grafana-admin": password,
}
"""Every secret of the system, and how one is made."""

ROTATED = (
    *(name for name in POLICIES if name not in ("consul-server", "consul-dns")),
    *(f"postgres-{name}" for name in ROLES),
)
"""Those that ``rotate`` replaces in use; the others are read once by a server."""

Get = Callable[[str], str]


@dataclass(frozen=True)
class Consumer:
    """One volume below ``/secrets``: its owner and its files, each a function of the values."""

    owner: tuple[int, int]
    files: Mapping[str, Callable[[Get], str]]


def _value(name: str) -> Callable[[Get], str]:
    return lambda get: get(name)


def _passfile(role: str) -> Callable[[Get], str]:
    """A line that libpq reads: any host, any port, any database."""
    return lambda get: f"*:*:*:{ROLES[role]}:{get(f'postgres-{role}')}"


def _database(role: str) -> Callable[[Get], str]:
    return lambda get: f"postgresql://{ROLES[role]}:{get(f'postgres-{role}')}@postgres/shop"


def _consul_server(get: Get) -> str:
    tokens = {
        "initial_management": get("consul-management"),
        "agent": get("consul-server"),
        "dns": get("consul-dns"),
    }
    return json.dumps({"acl": {"tokens": tokens}})


def _nats_users(get: Get) -> str:
    def user(name: str, publish: list[str], subscribe: list[str]) -> dict[str, object]:
        rights = {"publish": publish, "subscribe": subscribe}
        return {"user": name, "password": get(f"nats-{name}"), "permissions": rights}

    stream = [f"$JS.API.STREAM.{verb}.orders" for verb in ("INFO", "CREATE", "UPDATE")]
    users = [
        user("orders", ["orders.>", "$JS.API.INFO", *stream], ["_INBOX.>"]),
        user("operator", ["$JS.API.>", "$JS.ACK.>"], [">"]),
    ]
    return f"authorization {{ users: {json.dumps(users)} }}"


def _kafka_users(get: Get) -> str:
    users = "".join(f' user_{name}="{get(f"kafka-{name}")}"' for name in ("orders", "operator"))
    own = f'username="operator" password="{get("kafka-operator")}"'
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return f"KafkaServer {{ {module} required {own}{users}; }};"


CONSUMERS: Mapping[str, Consumer] = {
    "consul": Consumer(CONSUL, {"acl.json": _consul_server}),
    "backup-consul": Consumer(CONSUL, {"consul-token": _value("consul-backup")}),
    "postgres": Consumer(
        POSTGRES,
        {"superuser": _value("postgres-superuser"), **{name: _value(f"postgres-{name}") for name in ROLES}},
    ),
    "backup-postgres": Consumer(POSTGRES, {"pgpass": _passfile("backup")}),
    "nats": Consumer(NATS, {"users.conf": _nats_users}),
    "grafana": Consumer(GRAFANA, {"admin-password": _value("grafana-admin")}),
    "gateway": Consumer(PILLION, {"consul-token": _value("consul-gateway")}),
    "orders-outbox": Consumer(PILLION, {"database": _database("install")}),
    **{
        name: Consumer(SERVICE, {"pgpass": _passfile("orders")})
        for name in ("orders-migrate", "orders-v1", "orders-v2")
    },
    **{
        f"{agent}-agent": Consumer(PILLION, {"consul-token": _value(f"consul-{agent}")})
        for agent in AGENTS
        if agent != "orders-v2"
    },
    "orders-v2-agent": Consumer(
        PILLION,
        {
            "consul-token": _value("consul-orders-v2"),
            "database": _database("relay"),
            "broker": lambda get: f"nats://orders:{get('nats-orders')}@nats:4222",
        },
    ),
}
"""Everybody who holds a secret."""

VARIANTS: Mapping[str, Consumer] = {
    "kafka": Consumer(KAFKA, {"jaas.conf": _kafka_users}),
    "orders-v2-kafka": Consumer(
        PILLION, {"broker": lambda get: f"kafka://orders:{get('kafka-orders')}@kafka:9092"}
    ),
}
"""Who holds one only where a variant of the system mounts the volume for it."""

DATA = {
    "consul-data": CONSUL,
    "postgres-data": POSTGRES,
    "nats-data": NATS,
    "consul-backups": CONSUL,
    "postgres-backups": POSTGRES,
}
"""Volumes of data, which their user alone may enter: PostgreSQL does not start on one that others can read."""

VARIANT_DATA = {"kafka-data": KAFKA}
"""The same of a variant."""

SHARED = {"pods": PILLION, "storefront-config": PILLION, **{f"{agent}-hook": PILLION for agent in AGENTS}}
"""Volumes without secrets that one user writes and the containers beside it read."""


def write(root: Path, values: Values) -> int:
    """Write every consumer's files that are not right yet; how many those were."""
    written = 0
    variants = {name: each for name, each in VARIANTS.items() if (root / name).exists()}
    for name, consumer in {**CONSUMERS, **variants}.items():
        _own(root / name, consumer.owner)
        for file, form in consumer.files.items():
            written += replace(root / name / file, form(values.read), *consumer.owner)
    return written


def own(root: Path) -> None:
    """Hand the other volumes to their users."""
    variants = {name: owner for name, owner in VARIANT_DATA.items() if (root / name).exists()}
    for name, owner in {**DATA, **variants}.items():
        _own(root / name, owner)
    for name, owner in SHARED.items():
        _own(root / name, owner, 0o755)


def _own(folder: Path, owner: tuple[int, int], mode: int = 0o700) -> None:
    folder.chmod(mode)
    os.chown(folder, *owner)
