"""Settings and catalogues that are planned from in these tests."""

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.config.settings import Settings
from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.version import Deprecation, Offer, Version

OLD = Offer(
    (Version(1), Version(2, 1)),
    None,
    {Version(1): Deprecation(1767225600, 1798761600, "https://x.example/v2")},
)
NEW = Offer((Version(2, 1), Version(2, 3)), Version(2, 1))

CATALOG = Catalog(
    {
        "orders": Service(
            "orders",
            (
                Instance("o-1", Address("10.0.0.1", 15006), OLD, "a", "shop"),
                Instance("o-2", Address("10.0.0.2", 15006), NEW, "b", "shop"),
            ),
            ("/orders", "/api/{version}/orders"),
        ),
        "stock": Service("stock", (Instance("s-1", Address("10.0.0.3", 15006)),)),
        "empty": Service("empty", ()),
    },
    ("late",),
)
RICH: Mapping[str, Any] = {
    "service": {"name": "shop", "port": 8000, "zone": "a", "version": "1.4"},
    "versions": {"serves": ["v1", "v2"], "strip_prefix": True},
    "tracing": {"endpoint": "http://127.0.0.1:4318"},
    "proxy": {"access_log": True},
    "upstreams": {
        "*": {},
        "orders": {
            "port": 15100, "version": "v1", "traffic": {"timeout": 5, "balance": "ring_hash", "hash_header": "x-user"},
            "paths": [{"prefix": "/reports", "timeout": 60, "retries": 0}],
        },
    },
}  # fmt: skip


def settings(over: Mapping[str, Any] | None = None) -> Settings:
    """Settings as they are after their ports were chosen."""
    return msgspec.convert({"service": {"name": "shop", "port": 8000}, **(over or {})}, Settings)
