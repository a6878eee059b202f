"""Hypothesis strategies: catalogues as anybody may write them into Consul, and settings as far as they are taken."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase
from hypothesis import settings as profile
from hypothesis import strategies as st

from agent.config import sources
from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.registry import advertise, decode, fold, selection
from agent.runtime.errors import Misconfigured
from tests.unit.config.memory import Memory

EXAMPLES = int(os.environ.get("PILLION_EXAMPLES", "60"))
"""Examples of each property that asks the real Envoy; PILLION_EXAMPLES sets it."""

NASTY = (
    "", " ", ".", "..", "/", "//", "*", "%", "%%", "%REQ(x)%", "%DOWNSTREAM_REMOTE_ADDRESS%", "{version}",
    "\x00", "a\x00b", "\n", "a\r\nx-evil: 1", '"', "'", '"}]}', "\\", "${jndi:x}", "$(id)", "é", "日本", "\u202e",
    "\u2028", "\ud800", "😀", ".*(", "(?i)a", "[[:alpha:]]", "x" * 10_000, "%" * 10_000, "localhost",
    "s3.amazonaws.com", "127.0.0.1", "-", "_", "otlp", "xds", "external_hosts", "service_reuse", "upstream_a",
    "null", "true", "0", "1e999",
)  # fmt: skip
"""Texts that have broken something somewhere."""

text = st.sampled_from(NASTY) | st.text(max_size=12)
anything: st.SearchStrategy[Any] = (
    st.sampled_from(
        [
            None,
            True,
            False,
            0,
            -1,
            2**65,
            1.5,
            float("nan"),
            [],
            {},
            [None],
            {"": None},
            [[]],
            {"a": {"b": []}},
        ]
    )
    | text
)
"""Any JSON, which no entry should be."""
NAMES = ("a", "b", "a-b", "orders", "x" * 63)
name = st.sampled_from(NAMES)
any_name = st.integers(0, 4).flatmap(lambda chance: name if chance else text)
number = st.integers(0, 3) | st.sampled_from([9, 10, 99, 100, 9999])
version = st.builds("v{}.{}".format, number, number) | st.builds("v{}".format, number)
segment = st.sampled_from(
    ["a", "orders", "api", "api/v1", "v1", "{version}", "a.b+c(d)", "~x", "A", "*", "$&", ";=:@!,'"]
)
path = st.lists(segment, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts)) | st.just("/")
link = (
    st.sampled_from(["", "/new", "https://x.example/v2?a=b#c", "/%41", "javascript:1", "<x>", "a b"]) | text
)


host = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3", "127.0.0.1", "::1", "2001:db8::7"])
no_host = st.sampled_from(
    [
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "169.254.169.254",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "255.255.255.255",
        "no.host",
    ]
)
SPOILED = ("ID", "Service", "Address", "Port", "Meta", "Kind", "Tags", "Weights", "Checks", "Node", "whole")


@st.composite
def _meta(draw: st.DrawFn) -> dict[str, Any]:
    """What an instance says of itself: all of it good, and then some of it spoiled."""
    serves = draw(st.lists(version, max_size=4, unique=True))
    meta: dict[str, Any] = {advertise.VERSIONS: ",".join(serves)} if serves else {}
    if serves and draw(st.booleans()):
        meta[advertise.DEFAULT] = draw(st.sampled_from(serves))
    if serves and draw(st.booleans()):
        told = [draw(st.none() | st.integers(0, 2**33)), draw(st.none() | st.integers(0, 2**33)), draw(link)]
        meta[advertise.DEPRECATED] = json.dumps({serves[0]: told})
    meta[advertise.ROUTES] = " ".join(draw(st.lists(path, max_size=3)))
    meta[advertise.ZONE] = draw(st.sampled_from(["", "a", "b", "eu-1.x_y"]))
    meta[advertise.NAMESPACE] = draw(st.sampled_from(["", "shop", "test", "com"]))
    keys = (advertise.VERSIONS, advertise.DEFAULT, advertise.DEPRECATED, advertise.ROUTES, advertise.ZONE)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1]))):
        meta[draw(st.sampled_from([*keys, advertise.NAMESPACE, advertise.STRIP]) | text)] = draw(anything)
    return meta


@st.composite
def _entry(draw: st.DrawFn, service: str) -> Any:
    body: dict[str, Any] = {
        "ID": draw(st.sampled_from(["1", "2", "3", "4", "%REQ(x)%"])),
        "Service": service,
        "Address": draw(host),
        "Port": draw(st.sampled_from([1, 80, 15006, 65535])),
        "Meta": draw(_meta()),
        "Tags": [],
    }
    entry: dict[str, Any] = {
        "Service": body,
        "Node": {"Node": "n", "Address": "10.9.9.9", "CreateIndex": 1},
        "Checks": [{"Status": draw(st.sampled_from(["passing", "passing", "passing", "critical"]))}],
    }
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 2]))):
        spoiled = draw(st.sampled_from(SPOILED))
        if spoiled == "whole":
            return draw(anything)
        value = draw(anything | no_host if spoiled == "Address" else anything)
        (entry if spoiled in entry and spoiled != "Service" else body)[spoiled] = value
    return entry


def rows(service: str) -> st.SearchStrategy[list[Any]]:
    """Consul's answer about one service: entries most of which are usable, and anything else."""
    return st.lists(_entry(service), max_size=4)


answers: st.SearchStrategy[dict[str, list[Any]]] = st.lists(any_name, max_size=4, unique=True).flatmap(
    lambda found: st.fixed_dictionaries({one: rows(one) for one in found})
)
"""What Consul says of some services, by name."""


def catalogue(found: Mapping[str, Sequence[Any]]) -> Catalog:
    """The catalogue that a watcher makes of Consul's answers."""
    chosen = selection.choose((), frozenset(filter(decode.usable, found)), frozenset())
    services = {}
    for one in chosen.names:
        known = fold.fold(
            fold.Known(one), decode.reading(one, found[one]), lost=False, keep_last=0.0, now=0.0
        )
        services[one] = known.service()
    return Catalog(services, chosen.left_out, known=True)


traffic = st.fixed_dictionaries(
    {},
    optional={
        "connect_timeout": st.sampled_from([0.000001, 1, 315_360_000]),
        "idle_timeout": st.sampled_from([0, 0.001, 300]),
        "timeout": st.sampled_from([0, 5, 60.5]),
        "per_try_timeout": st.sampled_from([0, 0.25]),
        "retries": st.integers(0, 10),
        "max_connections": st.sampled_from([1, 2**31 - 1]),
        "max_pending": st.sampled_from([1, 2**31 - 1]),
        "ejection_failures": st.sampled_from([0, 1, 2**31 - 1]),
        "ejection_time": st.sampled_from([0.001, 30, 315_360_000]),
        "balance": st.sampled_from(["least_request", "round_robin", "ring_hash"]),
        "hash_header": st.sampled_from(["", "x-user", "X_1"]),
    },
)
below = st.fixed_dictionaries(
    {"prefix": st.sampled_from(["/", "/a", "/a/", "/a%20b//c.d*", "//", "/%REQ(x)%", "/é", '/"'])},
    optional={
        "timeout": st.sampled_from([0, 7]),
        "per_try_timeout": st.sampled_from([0, 0.5]),
        "retries": st.integers(0, 3),
    },
)
upstream = st.fixed_dictionaries(
    {},
    optional={
        "port": st.sampled_from([-1, 15101, 15102, 15103]),
        "version": st.just("") | version,
        "traffic": traffic,
        "paths": st.lists(below, max_size=2),
    },
)


def documents(*ports: int) -> st.SearchStrategy[dict[str, Any]]:
    """``pillion.yaml`` of a service whose listeners have these ports: inbound, outbound, gateway."""
    return st.fixed_dictionaries(
        {
            "service": st.fixed_dictionaries(
                {"name": st.sampled_from([*NAMES, "otlp", "xds"]), "port": st.just(5000)},
                optional={
                    "host": st.sampled_from(["127.0.0.1", "::1", "service.example"]),
                    "zone": st.sampled_from(["", "a", "b"]) | text,
                    "version": st.sampled_from(["", "1.2", "%REQ(x)%", "100%"]) | text,
                },
            ),
            "proxy": st.fixed_dictionaries(
                {
                    "inbound": st.just(f"127.0.0.1:{ports[0]}"),
                    "outbound": st.just(f"127.0.0.1:{ports[1]}"),
                    "access_log": st.booleans(),
                }
            ),
            "gateway": st.just({"listen": f"127.0.0.1:{ports[2]}"}),
        },
        optional={
            "traffic": traffic,
            "upstreams": st.dictionaries(name | st.just("*"), upstream, max_size=3),
            "outbound": st.fixed_dictionaries({"policy": st.sampled_from(["allow_any", "registry_only"])}),
            "versions": st.fixed_dictionaries(
                {"serves": st.lists(version, max_size=3)},
                optional={
                    "default": version,
                    "strip_prefix": st.booleans(),
                    "policy": st.sampled_from(["compatible", "latest"]),
                    "deprecated": st.dictionaries(
                        version,
                        st.fixed_dictionaries({"sunset": st.just("2026-11-01"), "link": link}),
                        max_size=1,
                    ),
                },
            ),
            "tracing": st.fixed_dictionaries(
                {"endpoint": st.sampled_from(["", "http://127.0.0.1:4318", "http://127.0.0.1:4318/a%20b"])},
                optional={"operation": text, "sample": st.floats(0, 1)},
            ),
            "kubernetes": st.fixed_dictionaries(
                {}, optional={"namespace": st.sampled_from(["shop", "test", "com", ""])}
            ),
        },
    )


def taken(document: Mapping[str, Any]) -> Settings | None:
    """The settings of a document; None where they are refused, as an agent would before anything starts."""
    try:
        return sources.load({}, {}, Path("p.yaml"), Memory({"p.yaml": json.dumps(document)})).settings
    except Misconfigured:
        return None


def properties(examples: int) -> profile:
    """How a property is tried: as long as it takes, and without explaining a failure at length."""
    slow = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    phases = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]
    return profile(max_examples=examples, deadline=None, suppress_health_check=slow, phases=phases)
