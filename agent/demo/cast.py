"""Who plays: the sample services with the settings and the environment that each is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ORIGIN = "https://shop.example"
"""Where the pages come from that may call the gateway."""


@dataclass(frozen=True)
class Servers:
    """Where the servers are, as the services' settings name them."""

    consul: str
    otlp: str
    nats: str
    database: str
    """URL of the orders' database, with its password."""
    envoy: str
    """Path of the Envoy that all agents run."""


@dataclass(frozen=True)
class Part:
    """One instance: its label, which sample service it runs, its settings and its environment."""

    label: str
    service: str
    settings: Mapping[str, Any]
    environ: Mapping[str, str] = field(default_factory=dict)


def common(servers: Servers) -> dict[str, Any]:
    """What all agents are told, the gateway's too: small, quick, every request traced."""
    return {
        "registry": {"address": servers.consul, "spread": 0.5},
        "proxy": {"envoy": servers.envoy, "concurrency": 1, "drain_time": 2},
        "traffic": {"ejection_time": "5s"},
        "tracing": {"endpoint": servers.otlp, "sample": 1},
    }


def gateway(servers: Servers, listen: str) -> dict[str, Any]:
    """The settings of the gateway that listens there; pages of one origin may call."""
    return {
        **common(servers),
        "gateway": {"listen": listen, "cors": [{"origins": [ORIGIN]}]},
    }


def parts(servers: Servers, folder: Path) -> tuple[Part, ...]:
    """The instances in the order of their start. Secrets are written into files below ``folder``."""
    base = common(servers)
    secret = folder / "database-url"
    secret.touch(mode=0o600)
    secret.write_text(servers.database)
    driver = servers.database.replace("postgresql://", "postgresql+psycopg://", 1)
    inventory = {
        **base,
        "service": {"name": "inventory", "health_path": "/healthz"},
        "inbox": _inbox(servers, secret),
    }
    return (
        Part("inventory-a", "inventory", inventory),
        Part("inventory-b", "inventory", inventory),
        Part("orders-v1", "orders", _orders(base, "v1"), {"ORDERS_API": "v1", "DATABASE_URL": driver}),
        Part(
            "orders-v2",
            "orders",
            {**_orders(base, "v2"), "outbox": _outbox(servers, secret)},
            {"ORDERS_API": "v2", "DATABASE_URL": driver},
        ),
        _storefront(base, folder / "storefront.json"),
    )


def _orders(base: Mapping[str, Any], version: str) -> dict[str, Any]:
    versions: dict[str, Any] = {"serves": [version]}
    if version == "v1":
        successor = {"since": "2026-01-01", "sunset": "2027-01-01", "link": "https://example.com/orders/v2"}
        versions["deprecated"] = {"v1": successor}
    routes = ["/api/{version}/orders", "/orders"]
    service = {"name": "orders", "health_path": "/healthz", "routes": routes}
    return {**base, "service": service, "versions": versions}


def _outbox(servers: Servers, secret: Path) -> dict[str, Any]:
    return {
        "database_file": str(secret),
        "changes": [{"table": "orders"}],
        "broker": {"url": servers.nats, "stream": "orders", "create": True},
    }


def _inbox(servers: Servers, secret: Path) -> dict[str, Any]:
    """The inventory has no database of its own here, so it is remembered in the shop's."""
    return {
        "topics": [{"topic": "orders.orders", "path": "/events/orders"}],
        "broker": {"url": servers.nats},
        "database_file": str(secret),
        "lease": "3s",
    }


def _storefront(base: Mapping[str, Any], file: Path) -> Part:
    settings = {
        **base,
        "service": {"name": "storefront", "health_path": "/healthz", "routes": ["/shop"]},
        "store": {
            "file": str(file),
            "format": "json",
            "action": "signal",
            "signal": "HUP",
            "environment": False,
        },
    }
    return Part("storefront", "storefront", settings, {"STOREFRONT_SETTINGS": str(file)})
