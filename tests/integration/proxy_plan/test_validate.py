"""Snapshots of many shapes shown to `envoy --mode validate`."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.config import declare
from agent.demo import backing
from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.version import Deprecation, Offer, Version
from agent.proxy import assets
from agent.proxy.planner import plan, plan_gateway, static_bootstrap, tls
from agent.proxy.snapshot import Resource, Snapshot
from tests.integration.proxy_plan.pki import Authority, Issuer, key_set
from tests.integration.proxy_plan.rig import catalog, instance, settings

MANY = Offer(
    tuple(Version(major, minor) for major in range(4) for minor in (-1, 0, 7, 120, 9999)),
    Version(2),
    {
        Version(1, 7): Deprecation(0, 10**15, "https://x.example/%41?a=b"),
        Version(2, 0): Deprecation(link="a b>\r\nx: y"),
    },
)
KNOWN = catalog(
    "late",
    plain=[instance(9001), instance(9002, zone="b")],
    orders=Service(
        "orders",
        (
            instance(9003, MANY, zone="a", namespace="prod"),
            instance(9004, Offer((Version(2, 3),))),
        ),
        ("/orders", "/api/{version}/orders", "/", "/a.b+c(d)/x*"),
    ),
    empty=[],
)
HOSTILE = Catalog(
    {
        name: Service(
            name,
            (
                Instance(
                    '"}\n',
                    Address("127.0.0.1", 80),
                    MANY,
                    "%REQ(x)%\n\ud800",
                    "shop",
                ),
                Instance("2", Address("127.0.0.1", 81), MANY, namespace="test"),
                Instance("3", Address("127.0.0.1", 82), MANY, namespace="*.com"),
                Instance("4", Address("127.0.0.1", 83), MANY, namespace="%REQ(x)%\n"),
                Instance("", Address("evil.example", 99999), Offer((Version(10**9, -7),))),
                Instance("", Address("::1%eth0", 0)),
            ),
            (
                "",
                "//",
                "/%",
                "/a?b",
                "/{version}{version}",
                "/{version}/{version}",
                "/" + "x" * 500,
                "/ok/",
                "relative",
                "/a\nb",
            ),
        )
        for name in (
            "good",
            "*",
            "",
            "localhost",
            "s3.amazonaws.com",
            "a_b",
            "%REQ(x)%",
            "x" * 64,
            "UP",
            "127",
            "0x7f000001",
            "-",
            "xds",
            "otlp",
        )
    },
    ("*", "good", "left"),
)
LIMITS = [
    {"requests": 10**9, "per": 0.05}, {"requests": 1, "per": 86400, "burst": 10**9, "by": "client"},
    {"requests": 7, "prefix": "/a(b)+/", "by": "client"}, {"requests": 7, "prefix": "/$&'*"},
]  # fmt: skip
SETTINGS: dict[str, Mapping[str, Any]] = {
    "defaults": {},
    "zone": {"service": {"name": "front", "port": 5000, "zone": "a", "host": "service.example"}},
    "versions": {"versions": {"serves": ["v1", "v2.1"], "default": "v1", "strip_prefix": True, "policy": "latest"}},
    "many old versions": {
        "versions": {
            "serves": [f"v{major}" for major in range(1, 33)],
            "deprecated": {f"v{major}": {"since": "1970-01-01", "sunset": "1970-01-01"} for major in range(1, 33)},
        }
    },
    "tracing": {"tracing": {"endpoint": "http://127.0.0.1:4318", "operation": "100% [x] %REQ(a)%", "sample": 0.333}},
    "registry only": {"outbound": {"policy": "registry_only"}, "proxy": {"access_log": True}},
    "dns": {
        "service": {"name": "front", "port": 5000, "zone": "a"},
        "outbound": {"dns": "127.0.0.1:15053", "dns_resolvers": ["127.0.0.1:8600", "10.0.0.2", "[::1]:53"]},
    },
    "dns of consul": {"outbound": {"dns": "[::1]:15053"}, "registry": {"loopback": "refuse"}},
    "no limits": {"traffic": {"idle_timeout": 0, "retries": 0, "ejection_failures": 0}},
    "limits": {
        "traffic": {
            "connect_timeout": 0.000001, "timeout": 30, "per_try_timeout": 0.25, "retries": 10,
            "max_connections": 1, "max_pending": 1,
            "max_requests": 1, "ejection_failures": 1, "ejection_time": 100000,
            "balance": "ring_hash", "hash_header": "x-user",
        }
    },
    "longest": {
        "service": {"name": "front", "port": 5000, "health_path": "/h", "health_interval": declare.LONGEST},
        "traffic": {
            "connect_timeout": declare.LONGEST, "idle_timeout": declare.LONGEST, "timeout": declare.LONGEST,
            "per_try_timeout": declare.LONGEST, "ejection_time": declare.LONGEST, "check_path": "/",
            "check_interval": declare.LONGEST, "check_timeout": 10,
            "max_connections": declare.LARGEST, "max_pending": declare.LARGEST, "max_requests": declare.LARGEST,
            "ejection_failures": declare.LARGEST,
        },
    },
    "upstreams": {
        "upstreams": {
            "*": {"traffic": {"balance": "round_robin"}},
            "orders": {"port": 15101, "version": "v2.9",
                       "paths": [{"prefix": "/slow/", "timeout": 60}, {"prefix": "/", "retries": 0}]},
            "ghost": {"port": 15102, "version": "v1"},
            "plain": {"paths": [{"prefix": "/a%20b//c.d*"}, {"prefix": "//"}]},
        }
    },
    "checks": {
        "service": {"name": "front", "port": 5000, "health_path": "/health?a=b%20", "health_interval": 0.5},
        "traffic": {"check_path": '/a"?b=%20&c', "check_interval": 0.1, "check_timeout": 0.001,
                    "check_failures": 100, "check_passes": 100, "ejection_on": "gateway"},
        "upstreams": {"*": {"paths": [{"prefix": "/a", "idle_timeout": 0}, {"prefix": "/api/v2/orders"}]}},
    },
    "explicit ports": {"upstreams": {f"s-{n}": {"port": 15100 + n} for n in range(60)}},
    "everywhere": {"proxy": {"outbound": "0.0.0.0:80"}, "service": {"name": "f", "port": 1, "address": "10.0.0.7"}},
    "limits of callers": {
        "proxy": {"limits": LIMITS, "max_body": 1},
        "gateway": {"limits": LIMITS, "max_body": 2**32 - 1, "hold_bodies": True},
    },
    "gateway": {
        "gateway": {
            "routes": {"orders": ["/orders", "/api/{version}/orders"], "nobody": ["/plain/x", "/{version}"]},
            "trusted_hops": 2, "proxy_protocol": True, "trace": "restart",
            "cors": [
                {"origins": ["*"]},
                {"prefix": "/orders/(x)", "origins": ["https://*.a.example:*"], "credentials": True},
            ],
            "jwt": {
                "issuer": "https://login.example/%REQ(x)%", "audiences": ["a"],
                "jwks_url": "https://login.example/keys?x=%41",
                "claims": {"sub": "x-user", "a.b": "x-a-b"}, "public": ["/", "/a+b/"], "forward": False,
            },
        },
        "tracing": {"endpoint": "http://127.0.0.1:4318"},
    },
    "keys": {"gateway": {"jwt": {"issuer": "a", "jwks": key_set(Issuer("ES256"), Issuer("RS256"))}}},
    "service name": {"service": {"name": "otlp", "port": 5000, "version": "%1%"}},
}  # fmt: skip


async def refusal(snapshot: Snapshot, folder: Path, secrets: Sequence[Resource] = ()) -> str:
    """What Envoy has against the snapshot; empty when it takes it."""
    boot = assets.load().copy("bootstrap")
    boot["admin"]["address"]["pipe"]["path"] = str(folder / "a.sock")
    assignment = {"cluster_name": "otlp", "endpoints": []}
    boot["static_resources"]["clusters"].append(
        {"name": "otlp", "type": "STATIC", "load_assignment": assignment}
    )
    file = folder / "envoy.json"
    file.write_text(json.dumps(static_bootstrap(snapshot, boot, secrets)))
    envoy = await asyncio.create_subprocess_exec(
        backing.binary("envoy"), "--mode", "validate", "-c", str(file), "--log-level", "warning",
        "--reject-unknown-dynamic-fields", stdout=-1, stderr=-2,
    )  # fmt: skip
    out, _ = await envoy.communicate()
    return "" if envoy.returncode == 0 else out.decode()


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("known", [pytest.param(KNOWN, id="known"), pytest.param(HOSTILE, id="hostile")])
async def test_envoy_takes_what_is_planned(folder: Path, name: str, known: Catalog) -> None:
    """For a sidecar and for a gateway, whatever the catalogue holds."""
    given = settings(SETTINGS[name])
    assert await refusal(plan(given, known, assets.load(), ("host.example", "fe80::1", ".*(")), folder) == ""
    assert await refusal(plan_gateway(given, known, assets.load()), folder) == ""


async def test_envoy_takes_tls_by_files(folder: Path) -> None:
    """As `pillion envoy render --static` names them."""
    chain, key = Authority().issue(folder)
    over = {"certificate": str(chain), "key": str(key), "client_ca": str(chain), "hsts": 10**9}
    given = settings({"gateway": {"tls": over, "redirect": "127.0.0.1:1"}})
    found = plan_gateway(given, KNOWN, assets.load())
    assert await refusal(found, folder, tls.in_files(given)) == ""
    key.write_text("no key")
    assert await refusal(found, folder, tls.in_files(given)) != ""


async def test_envoy_refuses_what_is_wrong(folder: Path) -> None:
    """So the test above can fail."""
    snapshot = plan(settings(), KNOWN, assets.load())
    snapshot.routes["outbound"]["virtual_hosts"][0]["routes"][0]["match"] = {"prefix": "/", "path": "/"}
    assert await refusal(snapshot, folder) != ""


async def test_envoy_takes_a_hundred_services_with_two_versions_each(folder: Path) -> None:
    """Each with instances in two zones."""
    offer = Offer((Version(1), Version(2)))
    known = catalog(
        **{f"s-{n}": [instance(n + 1, offer, zone="a"), instance(n + 2, zone="b")] for n in range(100)}
    )
    given = settings({"service": {"name": "front", "port": 1, "zone": "a"}})
    assert await refusal(plan(given, known, assets.load()), folder) == ""
