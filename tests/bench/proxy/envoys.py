"""The Envoys that are compared: each has both hops, the caller's outbound and the callee's inbound, in one process."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from agent.config.settings import Settings
from agent.demo import backing
from agent.demo.process import Process
from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.version import Offer, Version
from agent.proxy import assets
from agent.proxy.bootstrap import Node, bootstrap
from agent.proxy.planner import plan, static_bootstrap
from agent.proxy.snapshot import Resource
from tests.bench.proxy import cores

VERSIONS = ("v1", "v2", "v2.1")
HEAP = 512 * 1024 * 1024


class Envoy(Process):
    """One of them; ``port`` is where callers send to."""

    def __init__(self, name: str, folder: Path, config: Resource, port: int, core: int) -> None:
        folder.mkdir()
        self.port = port
        config["admin"] = {"address": {"pipe": {"path": str(folder / "a.sock")}}}
        file = folder / "envoy.json"
        file.write_text(json.dumps(config))
        argv = [
            backing.binary("envoy"), "-c", str(file), "--disable-hot-restart", "--concurrency", "1",
            "--log-level", "error",
        ]  # fmt: skip
        super().__init__(
            f"Envoy ({name})", cores.pinned(core, argv), folder / "log", answers=lambda: backing.tcp_ok(port)
        )


def minimal(upstream: int) -> tuple[Resource, int]:
    """The hand-written configuration, and the port of its first hop."""
    config: Resource = yaml.safe_load((Path(__file__).parent / "minimal.yaml").read_text())
    first, second = backing.free_port(), backing.free_port()
    resources = config["static_resources"]
    for listener, port in zip(resources["listeners"], (first, second), strict=True):
        listener["address"]["socket_address"]["port_value"] = port
    for cluster, port in zip(resources["clusters"], (second, upstream), strict=True):
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        endpoint["address"]["socket_address"]["port_value"] = port
    return config, first


def pillion(
    upstream: int,
    *,
    versions: bool = False,
    spans: int = 0,
    sample: float = 0.0,
    without: tuple[str, ...] = (),
) -> tuple[Resource, int]:
    """Pillion's plan beside one service that calls itself by name, and the port of its outbound.

    ``spans`` is the collector's port, 0 for no tracing. ``without`` are parts that are taken out: see ``PARTS``."""
    settings = _settings(upstream, versions, f"http://127.0.0.1:{spans}" if spans else "", sample)
    inbound, outbound = (Address.parse(one) for one in (settings.proxy.inbound, settings.proxy.outbound))
    offer = Offer(tuple(map(Version.parse, VERSIONS))) if versions else Offer()
    known = Catalog({"orders": Service("orders", (Instance("orders-1", inbound, offer),))})
    fragments = assets.load()
    node = Node("bench", "bench")
    nowhere = Path("/nowhere")
    boot = bootstrap(
        fragments.copy("bootstrap"),
        node=node,
        admin=nowhere,
        xds=nowhere,
        otlp=settings.tracing.endpoint,
        heap_limit=HEAP,
    )
    config = static_bootstrap(plan(settings, known, fragments), boot)
    for part in without:
        for listener in config["static_resources"]["listeners"]:
            PARTS[part](listener["filter_chains"][0]["filters"][0]["typed_config"], config)
    return config, outbound.port


def _settings(upstream: int, versions: bool, endpoint: str, sample: float) -> Settings:
    content: Mapping[str, Any] = {
        "service": {"name": "orders", "port": upstream},
        "proxy": {
            "inbound": f"127.0.0.1:{backing.free_port()}",
            "outbound": f"127.0.0.1:{backing.free_port()}",
        },
        "tracing": {"endpoint": endpoint, "sample": sample},
        "versions": {"serves": VERSIONS if versions else ()},
    }
    return msgspec.convert(content, Settings)


def _no_early_headers(manager: Resource, _: Resource) -> None:
    manager["early_header_mutation_extensions"] = []


def _no_cel(manager: Resource, _: Resource) -> None:
    for one in manager.get("early_header_mutation_extensions", ()):
        config = one["typed_config"]
        config["mutations"] = [one for one in config["mutations"] if "%CEL(" not in json.dumps(one)]


def _no_request_id(manager: Resource, _: Resource) -> None:
    manager |= {"generate_request_id": False, "always_set_request_id_in_response": False}
    manager.pop("request_id_extension", None)


def _no_header_additions(manager: Resource, _: Resource) -> None:
    for host in manager["route_config"]["virtual_hosts"]:
        for scope in (host, *host["routes"]):
            for key in list(scope):
                if key.startswith(("request_headers_to_", "response_headers_to_")):
                    del scope[key]


def _no_retries(manager: Resource, _: Resource) -> None:
    for host in manager["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            route.get("route", {}).pop("retry_policy", None)


def _no_local_replies(manager: Resource, _: Resource) -> None:
    manager.pop("local_reply_config", None)


def _no_idle_timeouts(manager: Resource, _: Resource) -> None:
    for key in ("stream_idle_timeout", "request_headers_timeout"):
        manager[key] = "0s"
    for host in manager["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            if "route" in route:
                route["route"]["idle_timeout"] = "0s"


def _no_other_filters(manager: Resource, _: Resource) -> None:
    manager["http_filters"] = manager["http_filters"][-1:]


def _no_outliers(_: Resource, config: Resource) -> None:
    for cluster in config["static_resources"]["clusters"]:
        cluster.pop("outlier_detection", None)


def _no_tracing(manager: Resource, _: Resource) -> None:
    manager.pop("tracing", None)


def _no_overload(_: Resource, config: Resource) -> None:
    config.pop("overload_manager", None)


def _no_circuits(_: Resource, config: Resource) -> None:
    for cluster in config["static_resources"]["clusters"]:
        cluster.pop("circuit_breakers", None)


PARTS = {
    "early headers": _no_early_headers,
    "CEL": _no_cel,
    "request id": _no_request_id,
    "header additions": _no_header_additions,
    "retries": _no_retries,
    "local replies": _no_local_replies,
    "idle timeouts": _no_idle_timeouts,
    "other filters": _no_other_filters,
    "outlier detection": _no_outliers,
    "circuit breakers": _no_circuits,
    "tracing": _no_tracing,
    "overload manager": _no_overload,
}
"""What can be taken out of a plan to see what it costs: each by its name changes a manager or the whole."""
