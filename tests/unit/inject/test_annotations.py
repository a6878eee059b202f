"""The annotations: read by the settings' declarations, together with them refused."""

import json

import pytest

from agent.config import sources
from agent.config.disk import LocalDisk
from agent.inject.injection import Namespace, Verdict
from agent.inject.options import options
from tests.unit.inject.examples import expanded, outcome, pod, sidecar, told


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("port", "x", "pillion.dev/port is 'x'; allowed: a whole number from 0 to 65535"),
        ("port", "70000", "pillion.dev/port is 70000; allowed: a whole number from 0 to 65535"),
        ("service", "My_App", "pillion.dev/service is 'My_App'; allowed: one DNS label"),
        ("service", "consul", "pillion.dev/service is 'consul', which means something else"),
        ("versions", "v1,x", "pillion.dev/versions[1] is 'x'; allowed: a version such as v2"),
        ("versions", "v1,v1", "pillion.dev/versions[1] is v1 again"),
        ("routes", "orders", "pillion.dev/routes[0] is 'orders', which does not start with /"),
        (
            "health-path",
            "healthz",
            "pillion.dev/health-path is 'healthz'; allowed: a path that starts with /",
        ),
        ("meta-pillion", "x", "pillion.dev/meta-pillion begins like the keys"),
        ("meta-a", "x" * 600, "pillion.dev/meta-a is"),
        ("meta-a.b", "x", "pillion.dev/meta-a.b is 'a.b'; allowed: letters"),
        (
            "upstreams",
            "{stock: {prot: 1}}",
            "pillion.dev/upstreams.stock.prot is not a setting; did you mean port?",
        ),
        ("upstreams", "{stock: {port: 0}}", "pillion.dev/upstreams.stock.port is 0"),
        ("upstreams", "{stock: {port: 8000}}", "is 8000, the port of"),
        ("carry", "perhaps", "pillion.dev/carry is 'perhaps'; allowed: true or false"),
        ("log-level", "loud", "pillion.dev/log-level is 'loud'; allowed: one of debug, info, warning, error"),
        ("image", "a b", "pillion.dev/image is 'a b'; allowed: an image such as"),
        ("cpu-limit", "2 cores", "pillion.dev/cpu-limit is '2 cores'; allowed: a quantity of CPU"),
        ("memory-request", "1GiB", "pillion.dev/memory-request is '1GiB'; allowed: a quantity of memory"),
        ("proxy", "off?", "pillion.dev/proxy is 'off?'; allowed: true or false"),
        ("config", "A", "pillion.dev/config is 'A'; allowed: the name of an object"),
        ("outbox-database-secret", "../x", "pillion.dev/outbox-database-secret is '../x'"),
        ("outbox-config", "[", "pillion.dev/outbox-config is not YAML"),
        ("outbox-config", "page: 1", "pillion.dev/outbox-config.page is 1; allowed: a whole number from 10"),
        ("outbox-config", "changes: [{table: t}]", "pillion.dev/outbox-database-secret is missing"),
        ("outbox-config", "database: x", "pillion.dev/outbox-config.database may hold a secret"),
        ("pythonpath", "a\nb", "pillion.dev/pythonpath holds a line break"),
    ],
)
def test_a_bad_value_refuses_the_pod_naming_it_and_what_is_allowed(name, text, said):
    found = outcome(pod(annotations={name: text}))
    assert found.verdict is Verdict.REFUSED
    assert found.pod["spec"].get("initContainers") is None
    assert said in "\n".join(map(str, found.problems))


def test_all_that_is_wrong_is_said_at_once():
    assert len(outcome(pod(annotations={"port": "x", "versions": "y", "log-level": "z"})).problems) == 3


@pytest.mark.parametrize("secret", ["nats://user:hunter2@host:4222", "nats://host?token=hunter2"])
def test_a_secret_in_a_manifest_is_refused_and_not_repeated(secret):
    annotations = {"outbox-database-secret": "s", "outbox-config": f"broker: {{url: '{secret}'}}"}
    found = outcome(pod(annotations=annotations))
    assert found.verdict is Verdict.REFUSED
    assert "hunter2" not in str(found.problems)
    assert "hunter2" not in found.reason


@pytest.mark.parametrize("name", [one.name for one in options() if one.name != "service"])
def test_any_annotation_but_the_services_name_may_sit_on_the_namespace_as_a_default(name):
    text = {
        "port": "81", "versions": "v3", "routes": "/r", "health-path": "/h", "tags": "t",
        "upstreams": "billing", "carry": "false", "cpu-request": "7m", "cpu-limit": "7", "memory-request": "7Mi",
        "memory-limit": "777Mi", "log-level": "debug", "image": "other:1", "outbox-database-secret": "s7",
        "outbox-config": "retention: 7d", "pythonpath": "/seven", "config": "c7",
        "proxy": "false",
    }.get(name, "v")  # fmt: skip
    key = f"pillion.dev/{name.replace('*', 'k')}"
    opted = {"pillion.dev/inject": "enabled"}
    with_default = outcome(pod(), Namespace("shop", opted, {key: text})).pod["spec"]
    own = outcome(pod(annotations={name.replace("*", "k"): text}), Namespace("shop", opted)).pod["spec"]
    assert with_default == own
    assert with_default != outcome(pod(), Namespace("shop", opted)).pod["spec"]


def test_a_default_that_the_pod_overrides_may_be_wrong():
    space = Namespace("shop", {"pillion.dev/inject": "enabled"}, {"pillion.dev/port": "x"})
    assert outcome(pod(), space).verdict is Verdict.REFUSED
    assert outcome(pod(annotations={"port": "8000"}), space).verdict is Verdict.INJECTED


def test_an_unknown_annotation_is_warned_of_with_what_may_be_meant():
    found = outcome(pod(annotations={"helth-path": "/h"}))
    assert found.verdict is Verdict.INJECTED
    assert (
        "pillion.dev/helth-path is not an annotation of Pillion; did you mean pillion.dev/health-path?"
        in found.warnings
    )


def test_what_the_sidecar_is_told_reads_back_as_what_was_annotated(tmp_path, monkeypatch):
    annotations = {
        "versions": "v1,v2", "routes": "/orders,/api/{version}/orders", "health-path": "/h?x=$(HOST_IP)$$",
        "tags": "a,b", "meta-team": "sh\"op, =", "meta-tier": "1",
        "upstreams": "stock: {port: 9001, traffic: {timeout: 2s}}\nbilling:\n", "log-level": "debug",
        "outbox-database-secret": "s",
        "outbox-config": "changes: [{table: orders, mask: [card]}]\nbroker: {create: yes, timeout: 2s}\nretention: 1d",
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    environ = expanded(told(sidecar(pod(annotations=annotations))), POD_IP="10.0.0.7", HOST_IP="10.0.0.1")
    environ["PILLION_OUTBOX_DATABASE"] = "postgresql://h/d"
    environ["PILLION_OUTBOX_BROKER_URL"] = "nats://h:4222"
    for name in ("PILLION_OUTBOX_DATABASE_FILE", "PILLION_OUTBOX_BROKER_URL_FILE"):
        assert environ.pop(name).startswith("/etc/pillion/outbox/")
    known = {name: value for name, value in environ.items() if not name.startswith("PILLION_KUBERNETES_")}
    resolved = sources.load({}, known, None, LocalDisk(), require="sidecar")
    found = resolved.settings
    assert resolved.warnings == ()
    assert (found.service.name, found.service.port, found.service.address) == ("orders", 8000, "10.0.0.7")
    assert found.service.health_path == "/h?x=$(HOST_IP)$$"
    assert found.service.meta == {"team": 'sh"op, =', "tier": "1"}
    assert found.service.routes == ("/orders", "/api/{version}/orders")
    assert (found.versions.serves, found.service.tags) == (("v1", "v2"), ("a", "b"))
    assert found.upstreams["stock"].port == 9001
    assert set(found.upstreams) == {"stock", "billing"}
    assert found.outbox.changes[0].mask == ("card",)
    assert (found.outbox.broker.create, found.outbox.broker.timeout, found.outbox.retention) == (
        True,
        2.0,
        86400.0,
    )
    assert found.registry.address == "http://10.0.0.1:8500"


def test_the_marker_and_the_pod_hold_no_value_of_a_secret():
    found = outcome(
        pod(annotations={"outbox-database-secret": "database"}), consul_token_secret="consul-token"
    )
    written = json.dumps(found.pod["spec"])
    assert "secretKeyRef" not in written
    volumes = {one["name"]: one for one in found.pod["spec"]["volumes"]}
    assert volumes["pillion-outbox"]["secret"] == {"secretName": "database"}
    assert volumes["pillion-consul"]["secret"] == {"secretName": "consul-token"}
