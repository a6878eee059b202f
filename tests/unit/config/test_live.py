"""What KV may change without a restart."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.live import allowed, override, traffic_for
from agent.config.sections.traffic import Traffic, Upstream
from agent.config.settings import Settings
from agent.runtime.errors import Misconfigured

BASE = Settings(
    traffic=Traffic(timeout=5.0, retries=1),
    upstreams={
        "*": Upstream(traffic={"retries": 2}),
        "orders": Upstream(port=7000, traffic={"timeout": 2.0}),
    },
)


def refused(text: str | bytes, base: Settings = BASE) -> str:
    with pytest.raises(Misconfigured) as caught:
        override(base, text if isinstance(text, bytes) else text.encode())
    return str(caught.value)


@pytest.mark.parametrize("text", ["", "{}", "traffic:", "null"])
def test_an_empty_override_changes_nothing(text):
    assert override(BASE, text.encode()) == BASE


def test_live_settings_change_and_the_others_stay():
    document = {"traffic": {"timeout": "200ms"}, "versions": {"policy": "latest"}}
    found = override(BASE, json.dumps(document).encode())
    assert found.traffic == Traffic(timeout=0.2, retries=1)
    assert found.versions.policy == "latest"
    assert found.upstreams == BASE.upstreams
    assert BASE.traffic.timeout == 5.0


def test_limits_of_callers_change_and_whose_a_path_is_does_not():
    """Who may write into KV is not to take a path or open a door."""
    found = override(
        BASE, b"{proxy: {limits: [{requests: 5}]}, gateway: {max_body: 1MiB, limits: [{requests: 7}]}}"
    )
    assert [found.proxy.limits[0].requests, found.gateway.limits[0].requests] == [5, 7]
    assert found.gateway.max_body == 1024 * 1024
    for text in ("routes: {a: [/]}", "jwt: {issuer: ''}", "cors: []", "trusted_hops: 9", "trace: trust"):
        assert "can't be changed without a restart" in refused(f"gateway: {{{text}}}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("service: {port: 1}", "service.port can't be changed without a restart"),
        ("registry: {token: hunter2}", "registry.token can't be changed"),
        ("registry: 5", "registry can't be changed"),
        ("versions: {serves: [v1]}", "versions.serves can't be changed"),
        ("traffic: {timeout: a while}", "traffic.timeout is 'a while'"),
        ("traffic: {timeot: 1}", "did you mean timeout?"),
        ("traffic: {timeout: 1, per_try_timeout: 2}", "longer than timeout"),
        ("upstreams: {orders: {port: 1}}", "upstreams.orders.port can't be changed"),
        ("upstreams: {orders: {traffic: {retries: 99}}}", "from 0 to 10"),
        ("upstreams: [orders]", "not a mapping"),
        ("upstreams: {Bad_Name: {}}", "a service's name"),
        ("[1]", "not a mapping"),
        ("a: *b", "alias"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_bad_override_is_refused(text, said):
    assert said in refused(text)
    assert "hunter2" not in refused(text)


def test_an_upstream_that_is_not_called_can_not_be_changed():
    base = Settings(upstreams={"orders": Upstream()})
    assert "not an upstream of this service" in refused("upstreams: {other: {traffic: {retries: 1}}}", base)


def test_a_gateway_may_change_every_upstream():
    base = Settings(upstreams={"orders": Upstream(traffic={"retries": 3})})
    found = override(base, b"upstreams: {other: {traffic: {retries: 1}}}", everyone=True).upstreams
    assert found["other"].traffic == {"retries": 1}
    assert found["orders"].traffic == {"retries": 3}


def test_what_may_be_changed_is_told_from_the_declarations():
    assert "traffic" in allowed().split(", ")
    assert "versions.policy" in allowed().split(", ")
    assert allowed().endswith(", and of upstreams: traffic and paths")
    assert allowed() in refused("service: {port: 1}")


def test_an_upstreams_traffic_is_changed_entry_by_entry_and_its_paths_are_replaced():
    text = b"""
        upstreams:
          orders: {traffic: {retries: 0}, paths: [{prefix: /slow, timeout: 1m}]}
          new: {traffic: {timeout: 1}}
    """
    found = override(BASE, text).upstreams
    assert found["orders"].traffic == {"timeout": 2.0, "retries": 0}
    assert found["orders"].port == 7000
    assert found["orders"].paths[0].timeout == 60.0
    assert found["new"].traffic == {"timeout": 1.0}
    assert found["*"] == BASE.upstreams["*"]


def test_traffic_of_an_upstream_is_its_own_over_all_upstreams_over_the_general():
    assert traffic_for(BASE, "orders") == Traffic(timeout=2.0, retries=2)
    assert traffic_for(BASE, "other") == Traffic(timeout=5.0, retries=2)
    assert traffic_for(Settings(), "x") == Traffic()


@given(st.floats(0, 1000), st.integers(0, 10))
def test_an_override_applied_twice_is_the_same_as_once(timeout, retries):
    text = json.dumps(
        {"traffic": {"timeout": timeout}, "upstreams": {"orders": {"traffic": {"retries": retries}}}}
    ).encode()
    assert override(override(BASE, text), text) == override(BASE, text)
