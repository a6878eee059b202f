"""What the Compose file is expected to hold, and what may fail while one of its containers is dead."""

from pathlib import Path

COMPOSE_FOLDER = Path(__file__).parents[2] / "compose"
FILE = COMPOSE_FOLDER / "docker-compose-enhanced.yml"
KAFKA = COMPOSE_FOLDER / "docker-compose-kafka.yml"
"""The variant with Kafka, given behind the other."""

LABELS = ("storefront", "orders-v1", "orders-v2", "inventory-a", "inventory-b")
"""The instances; each is a group of three containers: ``LABEL-pod``, ``LABEL`` and ``LABEL-agent``."""

SERVICES = {"storefront": 1, "orders": 2, "inventory": 2}
"""How many instances of each service Consul knows when all is well."""

SERVERS = ("consul", "jaeger", "nats", "postgres")
WATCHERS = ("prometheus", "alertmanager", "grafana")
BACKUPS = ("backup-postgres", "backup-consul")
ONE_SHOTS = ("secrets", "consul-acl", "orders-migrate", "orders-outbox")
LONG_RUNNING = (
    *(f"{label}{part}" for label in LABELS for part in ("", "-agent", "-pod")),
    *SERVERS,
    "gateway",
    *WATCHERS,
    *BACKUPS,
)

SHOP, STOCK, CHECKOUT = "GET /shop", "GET /inventory/stock", "POST /shop/checkout"
ROUTES = (SHOP, STOCK, CHECKOUT)
"""The load's requests. The first asks storefront, inventory and orders; the last changes the database."""


def group(label: str) -> tuple[str, ...]:
    """The containers of an instance, all that a machine has that is lost."""
    return (f"{label}-pod", label, f"{label}-agent")


def group_of(service: str) -> tuple[str, ...]:
    """The containers that must start again when this one is killed: of a pod its whole group."""
    return group(service.removesuffix("-pod")) if service.endswith("-pod") else (service,)


def may_fail(service: str) -> frozenset[str]:
    """The requests that have no other way than through this container.

    Of inventory there are two instances, of the API v2 of orders and of the storefront one each; v1 of orders
    is not in the load. Consul, NATS, Jaeger and the watchers are in no request's way.
    """
    if service == "gateway":
        return frozenset(ROUTES)
    if service in (*group("storefront"), *group("orders-v2"), "postgres"):
        return frozenset({SHOP, CHECKOUT})
    return frozenset()
