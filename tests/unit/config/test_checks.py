"""Rules over several settings, and forms that no pattern can express."""

from pathlib import Path

import pytest

from agent.config.sources import load
from agent.runtime.errors import Misconfigured
from tests.unit.config.memory import Memory


def wrong(text: str) -> dict[str, str]:
    try:
        load({}, {}, Path("p.yaml"), Memory({"p.yaml": text}))
    except Misconfigured as error:
        return {problem.key: f"{problem} {problem.source}" for problem in error.problems}
    return {}


WRONG = [
    ("proxy: {admin: /run/envoy.sock}", "proxy.admin", "proxy.mode is managed"),
    ("proxy: {xds_group: envoy}", "proxy.xds_group", "proxy.mode is managed"),
    ("proxy: {mode: external, admin: '127.0.0.1:0'}", "proxy.admin", "the port 0"),
    ("proxy: {mode: external, admin: '127.0.0.1:70000'}", "proxy.admin", "not a number from 0 to 65535"),
    ("service: {name: localhost}", "service.name", "means something else"),
    ("service: {name: '2130706433'}", "service.name", "means something else"),
    ("upstreams: [metadata]", "upstreams.metadata", "means something else"),
    ("upstreams: {'*': {port: 7000}}", "upstreams.*.port", "one port for all"),
    ("upstreams: {a: {port: 7000}, b: {port: 7000}}", "upstreams.b.port", "the port of a too"),
    ("service: {routes: [orders]}", "service.routes[0]", "does not start with /"),
    ("service: {routes: [/a, '/a//b']}", "service.routes[1]", "empty segment"),
    ("service: {routes: ['/a/../b']}", "service.routes[0]", "empty segment"),
    ("service: {routes: [/a/]}", "service.routes[0]", "ends in /"),
    ("service: {routes: ['/a b']}", "service.routes[0]", "whole segment"),
    ("service: {routes: ['/a/v{version}']}", "service.routes[0]", "whole segment"),
    ("service: {routes: ['/{name}']}", "service.routes[0]", "whole segment"),
    ("service: {routes: ['/a?x']}", "service.routes[0]", "whole segment"),
    ("service: {routes: ['/a/%2e%2e']}", "service.routes[0]", "whole segment"),
    ("service: {routes: ['/{version}/{version}']}", "service.routes[0]", "twice"),
    (f"service: {{routes: [{', '.join(f'/a{n}' for n in range(33))}]}}", "service.routes", "33 routes"),
    (
        f"service: {{routes: [{', '.join('/' + 'a' * 190 + str(n) for n in range(3))}]}}",
        "service.routes",
        "at most 32",
    ),
    ("service: {meta: {pillion-hash: x}}", "service.meta.pillion-hash", "keep for themselves"),
    (f"service: {{meta: {{a: {'é' * 300}}}}}", "service.meta.a", "512 bytes"),
    (f"service: {{meta: {{{', '.join(f'k{n}: v' for n in range(49))}}}}}", "service.meta", "at most 48"),
    ("proxy: {inbound: 'localhost:80'}", "proxy.inbound", "an IP address"),
    ("proxy: {outbound: '127.0.0.1:99999'}", "proxy.outbound", "0 to 65535"),
    ("admin: {listen: '127.0.0.1:15001'}", "admin.listen", "the port of proxy.outbound too"),
    ("admin: {health: '0.0.0.0:15020'}", "admin.health", "the port of admin.listen too"),
    ("service: {port: 15006}", "service.port", "the port of proxy.inbound too"),
    ("upstreams: {a: {port: 15001}}", "upstreams.a.port", "the port of proxy.outbound too"),
    ("gateway: {listen: '127.0.0.1:15021'}", "admin.health", "the port of gateway.listen too"),
    ("registry: {address: 'tcp://x'}", "registry.address", "not an http or https URL"),
    ("registry: {address: 'http://h:1/path'}", "registry.address", "more than an address"),
    ("registry: {address: 'h:0'}", "registry.address", "port 0"),
    ("registry: {address: 'http://['}", "registry.address", "not a URL"),
    ("registry: {address: 'http://u:p@h'}", "registry.address", "token"),
    ("tracing: {endpoint: jaeger}", "tracing.endpoint", "http://127.0.0.1:4318"),
    ("service: {health_timeout: 11s}", "service.health_timeout", "longer than registry.ttl"),
    (
        "injector: {consul_login_method: a, consul_token_secret: b}",
        "injector.consul_login_method",
        "one of the",
    ),
    ("registry: {ttl: 5m}", "registry.deregister_after", "shorter than registry.ttl"),
    ("traffic: {timeout: 1s, per_try_timeout: 2s}", "traffic.per_try_timeout", "longer than timeout"),
    (
        "traffic: {per_try_timeout: 2s}\nupstreams: {a: {traffic: {timeout: 1s}}}",
        "upstreams.a.traffic.per_try_timeout",
        "longer than timeout (1s)",
    ),
    (
        "traffic: {timeout: 3s}\nupstreams: {a: {paths: [{prefix: /x, per_try_timeout: 4s}]}}",
        "upstreams.a.paths[0].per_try_timeout",
        "longer than timeout (3s)",
    ),
    (
        "upstreams: {'*': {traffic: {per_try_timeout: 2s}}, a: {traffic: {timeout: 1s}}}",
        "upstreams.a.traffic.per_try_timeout",
        "longer than timeout (1s)",
    ),
    (
        "traffic: {per_try_timeout: 2s}\nupstreams: {a: {paths: [{prefix: /x, timeout: 1s}]}}",
        "upstreams.a.paths[0].per_try_timeout",
        "is 2s, longer than timeout (1s)",
    ),
    (
        "upstreams: {'*': {paths: [{prefix: /x, per_try_timeout: 3s}]}, a: {traffic: {timeout: 1s}}}",
        "upstreams.a.traffic",
        "leaves /x a try of 3s within 1s, with what upstreams.* says of it",
    ),
    ("traffic: {check_path: health}", "traffic.check_path", "starts with /"),
    ("traffic: {check_path: '/a b'}", "traffic.check_path", "starts with /"),
    ("traffic: {check_path: '/a#b'}", "traffic.check_path", "starts with /"),
    ("traffic: {check_path: /é}", "traffic.check_path", "starts with /"),
    ("traffic: {check_timeout: 11s}", "traffic.check_timeout", "more than 0 and at most 10s"),
    ("traffic: {check_interval: 1ms}", "traffic.check_interval", "at least"),
    ("upstreams: {a: {traffic: {check_failures: 0}}}", "upstreams.a.traffic.check_failures", "from 1 to 100"),
    ("traffic: {balance: ring_hash}", "traffic.hash_header", "ring_hash needs it"),
    (
        "upstreams: {a: {traffic: {balance: ring_hash}}}",
        "upstreams.a.traffic.hash_header",
        "ring_hash needs it",
    ),
    ("versions: {serves: [v1, '1']}", "versions.serves[1]", "again"),
    ("versions: {serves: [v1], default: v2}", "versions.default", "one of v1"),
    ("versions: {strip_prefix: true}", "versions.strip_prefix", "versions.serves is empty"),
    ("versions: {serves: [v2], deprecated: {v1: {}}}", "versions.deprecated.v1", "not among"),
    (
        "versions: {serves: [v1], deprecated: {v1: {since: soon}}}",
        "versions.deprecated.v1.since",
        "not a date",
    ),
    (
        "versions: {serves: [v1], deprecated: {v1: {since: '1969-01-01'}}}",
        "versions.deprecated.v1.since",
        "not a date",
    ),
    (
        "versions: {serves: [v1], deprecated: {v1: {since: 2026-11-02, sunset: 2026-11-01T00:00:00Z}}}",
        "versions.deprecated.v1.sunset",
        "before since",
    ),
    ("versions: {serves: [one]}", "versions.serves[0]", "a version such as v2"),
    (
        "versions: {serves: [" + ", ".join(f"v{number}" for number in range(200)) + "]}",
        "versions.serves",
        "has 200 versions",
    ),
    (
        "versions: {serves: [v1], deprecated: {v1: {link: 'https://docs.example/" + "x" * 500 + "'}}}",
        "versions.deprecated",
        "takes 542 characters in Consul's meta",
    ),
    (
        "versions: {serves: [v1], deprecated: {v1: {}, '1': {}}}",
        "versions.deprecated.1",
        "v1 again",
    ),
    ("outbox: {tables: [{table: t}]}", "outbox.database", "is missing"),
    ("outbox: {changes: [{table: t}]}", "outbox.broker.url", "is missing"),
    ("outbox: {database: 'mysql://h'}", "outbox.database", "not a PostgreSQL URL"),
    ("outbox: {tables: [{table: t}], changes: [{table: t}]}", "outbox.changes[0].table", "there already"),
    (
        "outbox: {changes: [{table: t, include: [a], exclude: [a]}]}",
        "outbox.changes[0].exclude",
        "include names too",
    ),
    ("outbox: {changes: [{table: t, operations: []}]}", "outbox.changes[0].operations", "is empty"),
    (
        "outbox: {require_durable: true, broker: {url: 'https://h/hook'}}",
        "outbox.require_durable",
        "can't be kept with HTTP",
    ),
    (
        "outbox: {tables: [{table: t, topic: '{tabel}'}]}",
        "outbox.tables[0].topic",
        "{aggregatetype}, {service}, {table}",
    ),
    ("outbox: {changes: [{table: t, topic: 'a b'}]}", "outbox.changes[0].topic", "without spaces"),
]


@pytest.mark.parametrize(("text", "key", "said"), WRONG)
def test_what_can_not_work_is_refused_with_its_key_and_source(text, key, said):
    found = wrong(text)
    assert key in found
    assert said in found[key]


RIGHT = [
    "service: {name: orders, port: 8000, routes: [/, /orders, '/api/{version}/orders'], meta: {team: a}}",
    (
        "proxy: {inbound: '[::1]:0', outbound: '127.0.0.1:0'}\nadmin: {listen: '127.0.0.1:0', health: '', "
        "metrics: '0.0.0.0:0'}"
    ),
    "proxy: {inbound: '127.0.0.1:9000'}\nservice: {host: 127.0.0.2, port: 9000}",
    "gateway: {listen: '0.0.0.0:15006'}",
    "registry: {address: 'consul.internal:8500'}",
    "registry: {address: 'https://[::1]:8501/'}",
    "traffic: {timeout: 0, per_try_timeout: 2s}",
    "traffic: {balance: ring_hash, hash_header: x-user}\nupstreams: {a: {traffic: {balance: ring_hash}}}",
    (
        "versions: {serves: [v1, v2.1], default: '2.1', deprecated: {'1': {since: 2026-11-01, sunset: "
        "'2026-11-02T00:00:00+01:00'}}}"
    ),
    "upstreams: {orders: , '*': {}}",
    (
        "outbox: {database: 'postgresql://u@h/d', broker: {url: 'nats://h'}, tables: [{table: s.t, topic: "
        "'{service}.x'}]}"
    ),
    "service:\nproxy: {}\n",
]


@pytest.mark.parametrize("text", RIGHT)
def test_what_works_is_accepted(text):
    assert wrong(text) == {}


def test_a_rule_names_the_file_of_a_value_inside_a_collection():
    assert (
        "p.yaml"
        in wrong("upstreams: {a: {traffic: {balance: ring_hash}}}")["upstreams.a.traffic.hash_header"]
    )


def test_an_inbox_needs_a_broker_and_a_database_unless_it_does_without_one():
    topics = "topics: [{topic: a.b, path: /x}, {topic: a.b, path: /y}]"
    found = wrong(f"inbox: {{{topics}}}")
    assert {"inbox.broker.url", "inbox.database", "inbox.topics[1].topic"} <= set(found)
    assert "inbox.database" not in wrong(f"inbox: {{{topics}, dedupe: none}}")
    assert "inbox.schema" in wrong(f"inbox: {{{topics}, schema: pillion}}")
    assert "inbox.topics[0].path" in wrong("inbox: {topics: [{topic: a, path: x}]}")


@pytest.mark.parametrize(
    ("url", "dedupe", "is_wrong"),
    [("kafka://h", "none", True), ("kafka+ssl://h", "none", True), ("kafka://h", "database", False),
     ("nats://h", "none", False)],
)  # fmt: skip
def test_partitions_of_kafka_are_shared_by_leases_only(url: str, dedupe: str, is_wrong: bool) -> None:
    found = wrong(
        f"inbox: {{topics: [{{topic: a, path: /x, partitions: 2}}], dedupe: {dedupe}, broker: {{url: '{url}'}}}}"
    )
    assert ("inbox.topics[0].partitions" in found) == is_wrong


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("{action: exec}", "store.exec", "is empty; allowed: the program with its whole path"),
        (
            "{action: exec, exec: [reload.sh]}",
            "store.exec[0]",
            "is 'reload.sh'",
        ),
        ("{secret_dirs: [secrets]}", "store.secret_dirs[0]", "a whole path of a folder of secrets"),
        ("{secret_dirs: [/run, /]}", "store.secret_dirs[1]", "is '/'"),
        ("{secret_dirs: [/proc/self]}", "store.secret_dirs[0]", "is '/proc/self'"),
        ("{secret_dirs: [/run/../etc]}", "store.secret_dirs[0]", "is '/run/../etc'"),
        ("{secret_variables: [A B]}", "store.secret_variables[0]", "a variable's name"),
        ("{secret_variables: [CONSUL_HTTP_TOKEN]}", "store.secret_variables[0]", "which is the agent's own"),
        ("{secret_variables: [PILLION_X]}", "store.secret_variables[0]", "which is the agent's own"),
    ],
)
def test_what_values_may_reach_and_what_follows_them_is_the_operators_and_exact(text, key, said):
    assert said in wrong(f"store: {text}")[key]


def test_nobody_is_signalled_whom_somebody_else_started():
    text = Memory({"p.yaml": "{service: {name: a, port: 1}, store: {action: restart}}"})
    with pytest.raises(Misconfigured, match="is restart, for a service that somebody else starts"):
        load({}, {}, Path("p.yaml"), text, require="sidecar")
    assert load({}, {}, Path("p.yaml"), text, require="launcher").settings.store.action == "restart"
