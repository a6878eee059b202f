"""Envoy's tracer as it is planned."""

import json
from typing import Any

import msgspec
import pytest

from agent.config import live
from agent.config.settings import Settings
from agent.proxy import assets
from agent.proxy.planner import identified
from agent.proxy.planner.tracing import early, passing, tracer


def planned(instance: str = "", **sections: dict[str, Any]) -> dict[str, Any]:
    """The tracer of a listener; ``sections`` have the shape of pillion.yaml."""
    tracing = {"endpoint": "http://127.0.0.1:4318", **sections.pop("tracing", {})}
    settings = msgspec.convert({"service": {"name": "orders"}, **sections, "tracing": tracing}, Settings)
    fragments = assets.load()
    found = tracer(settings, identified(fragments, instance) if instance else fragments, service="orders")
    assert found is not None
    return found


def told(found: dict[str, Any]) -> dict[str, str]:
    """The resource's attributes."""
    (detector,) = found["provider"]["typed_config"]["resource_detectors"]
    attributes = detector["typed_config"]["attributes"]
    assert isinstance(attributes, dict)
    return attributes


def test_without_an_endpoint_there_is_no_tracer() -> None:
    assert tracer(Settings(), assets.load(), service="orders") is None


@pytest.mark.parametrize("endpoint", ["http://j:4318/", "http://j:4318/v1/traces"])
def test_spans_go_where_the_agents_own_go(endpoint: str) -> None:
    config = planned(tracing={"endpoint": endpoint})["provider"]["typed_config"]
    assert config["http_service"]["http_uri"]["uri"] == "http://j:4318/v1/traces"


def test_spans_tell_instance_version_and_pod() -> None:
    kubernetes = {"namespace": "shop", "pod": "orders-0", "node": "n1"}
    own = {"deployment.environment.name": "live", "service.instance.id": "mine", "service.name": "mine"}
    found = planned("orders-1", service={"name": "orders", "version": "1.4"}, kubernetes=kubernetes,
                    tracing={"attributes": own})  # fmt: skip
    assert told(found) == {
        "service.instance.id": "orders-1",
        "service.version": "1.4",
        "deployment.environment.name": "live",
        "k8s.namespace.name": "shop",
        "k8s.pod.name": "orders-0",
        "k8s.node.name": "n1",
    }


def test_nothing_to_tell_is_no_detector() -> None:
    assert "resource_detectors" not in planned()["provider"]["typed_config"]


def test_identifying_leaves_the_fragments_as_they_were() -> None:
    fragments = assets.load()
    before = json.dumps(fragments.content)
    assert identified(fragments, "x").content != fragments.content
    assert json.dumps(fragments.content) == before


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("", "orders"),
        ("{method} orders", "%REQ(:METHOD)% orders"),
        ("100% %REQ(X)%", "100%% %%REQ(X)%%"),
        ("%{method}%", "%%%REQ(:METHOD)%%%"),
    ],
)
def test_a_span_s_name_is_text_but_for_the_method(operation: str, expected: str) -> None:
    assert planned(tracing={"operation": operation})["operation"] == expected


def test_the_share_follows_a_live_override() -> None:
    settings = msgspec.convert({"tracing": {"endpoint": "http://127.0.0.1:4318", "sample": 0.1}}, Settings)
    changed = live.override(settings, b'{"tracing": {"sample": 0.5}}')
    found = tracer(changed, assets.load(), service="orders")
    assert '"numerator": 500000' in json.dumps(found)


def test_trace_context_is_made_clean_by_a_filter_only_where_nobody_traces() -> None:
    lists = assets.load().content["early_headers"]
    assert early(traced=True) == ("trace_checked", "trace_taken", "trace_kept")
    assert early(traced=False) == ()
    made = passing(assets.load())["typed_config"]["extension_config"]["typed_config"]
    expected = [*lists["trace_checked"], *lists["trace_passed"], *lists["trace_kept"]]
    assert made["mutations"]["request_mutations"] == expected
