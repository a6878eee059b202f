"""JSON form to protobuf."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.route.v3 import route_pb2
from google.protobuf import any_pb2, json_format

from agent.model.catalog import Catalog, Service
from agent.proxy import assets
from agent.proxy.planner import plan, plan_gateway
from agent.proxy.snapshot import Resource, Snapshot
from agent.proxy.xds.encode import CLASSES, Encoded, Encoder, routed
from agent.proxy.xds.kinds import Kind
from agent.proxy.xds.wire import load_types
from tests.unit.proxy.planner import sample

EDS: Resource = {"name": "a", "type": "EDS", "connect_timeout": "1s"}


def snapshot(cluster: Resource, listener: Resource | None = None) -> Snapshot:
    """One cluster with its endpoints."""
    return Snapshot({"a": cluster}, {"a": {"cluster_name": "a"}}, {"l": listener} if listener else {})


def test_a_snapshot_is_encoded_with_the_names_that_hold_it_together() -> None:
    found = Encoder().encode(snapshot(EDS))
    assert isinstance(found, Encoded)
    assert found.assignments == {"a": "a"}
    wrapped = any_pb2.Any.FromString(found.resources[Kind.CLUSTER]["a"])
    message = cluster_pb2.Cluster()
    assert wrapped.Unpack(message)
    assert message.name == "a"


def test_an_equal_resource_is_encoded_once() -> None:
    encoder = Encoder()
    first, again = encoder.encode(snapshot(dict(EDS))), encoder.encode(snapshot(dict(EDS)))
    assert isinstance(first, Encoded)
    assert isinstance(again, Encoded)
    assert first.resources[Kind.CLUSTER]["a"] is again.resources[Kind.CLUSTER]["a"]


@pytest.mark.parametrize(
    "cluster",
    [
        {**EDS, "no_such_field": 1},
        {**EDS, "connect_timeout": "soon"},
        {**EDS, "metadata": {"typed_filter_metadata": {"x": {"@type": "type.googleapis.com/os.Path"}}}},
        {
            **EDS,
            "metadata": {"typed_filter_metadata": {"x": {"@type": "type.googleapis.com/envoy.no.v3.No"}}},
        },
    ],
)
def test_what_cannot_be_encoded_is_a_refusal_with_its_name(cluster: Resource) -> None:
    found = Encoder().encode(snapshot(cluster))
    assert isinstance(found, list)
    assert found[0].type == "cluster"
    assert found[0].message.startswith("a can't be encoded: ")


def test_names_that_lead_nowhere_are_refusals() -> None:
    found = Encoder().encode(Snapshot({"a": EDS}))
    assert isinstance(found, list)
    assert "asks for the endpoints a" in found[0].message
    listener = {"name": "l", "filter_chains": [{"filters": [{"name": "x"}]}]}
    assert routed({"x": [{"route_config_name": "r"}]}) == {"r"}
    assert isinstance(Encoder().encode(snapshot(EDS, listener)), Encoded)


def test_types_are_loaded_by_their_name_from_envoys_messages_only() -> None:
    load_types({"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"})
    with pytest.raises(ValueError, match="not a type of Envoy's"):
        load_types({"@type": "type.googleapis.com/subprocess.Popen"})


def test_it_says_the_same_as_protobufs_own_encoder() -> None:
    """Of everything that is planned, for a sidecar and for a gateway."""
    for found in (
        plan(sample.settings(sample.RICH), sample.CATALOG, assets.load()),
        plan_gateway(sample.settings(sample.RICH), sample.CATALOG, assets.load()),
    ):
        encoded = Encoder().encode(found)
        assert isinstance(encoded, Encoded)
        for kind in Kind:
            for name, resource in kind.of(found).items():
                wrapped, message = any_pb2.Any.FromString(encoded.resources[kind][name]), CLASSES[kind]()
                assert wrapped.Unpack(message)
                assert message == json_format.ParseDict(resource, CLASSES[kind]()), name


def test_what_is_remembered_does_not_grow_with_the_services() -> None:
    def remembered(count: int) -> int:
        services = {name: Service(name, ()) for name in (f"s-{number}" for number in range(count))}
        encoder = Encoder()
        assert isinstance(encoder.encode(plan(sample.settings(), Catalog(services), assets.load())), Encoded)
        return len(encoder._wire._known)

    assert remembered(50) == remembered(2)


def test_a_changed_host_is_encoded_alone_and_its_place_is_kept() -> None:
    encoder = Encoder()

    def routes(*domains: str) -> Snapshot:
        hosts = [{"name": f"h{n}", "domains": [domain]} for n, domain in enumerate(domains)]
        return Snapshot(routes={"r": {"name": "r", "virtual_hosts": hosts}})

    for domains in (("a", "b", "c"), ("a", "x", "c"), ("c", "a")):
        encoded = encoder.encode(routes(*domains))
        assert isinstance(encoded, Encoded)
        message = route_pb2.RouteConfiguration()
        assert any_pb2.Any.FromString(encoded.resources[Kind.ROUTE]["r"]).Unpack(message)
        assert [list(host.domains) for host in message.virtual_hosts] == [[one] for one in domains]


@pytest.mark.parametrize(
    "routes",
    [
        {"name": "r", "virtual_hosts": [{"name": "a", "domains": "a", "nothing": 1}]},
        {"name": "r", "virtual_hosts": ["a"]},
        {"name": "r", "virtual_hosts": [{"name": "a", "routes": [{"match": {"prefix": "/", "path": "/"}}]}]},
        {"name": "r", "virtual_hosts": [{"name": "a", "routes": [{"route": {"cluster": "a", "cluster_header": "b"}}]}]},
        {"name": 7},
    ],
)  # fmt: skip
def test_routes_that_are_none_are_refused(routes: Resource) -> None:
    found = Encoder().encode(Snapshot(routes={"r": routes}))
    assert isinstance(found, list)
    assert found[0].type == "route"
