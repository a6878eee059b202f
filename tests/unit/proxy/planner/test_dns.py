"""The table of the DNS listener."""

from collections.abc import Mapping
from typing import Any

import pytest

from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.proxy import assets
from agent.proxy.planner import Fragments, plan
from agent.runtime.errors import Misconfigured
from tests.unit.proxy.planner import sample

DNS = {"outbound": {"dns": "127.0.0.1:15053"}}


def config(catalog: Catalog, over: Mapping[str, Any] = DNS) -> dict[str, Any]:
    """The filter's configuration."""
    listener = plan(sample.settings(over), catalog, assets.load()).listeners["dns"]
    found: dict[str, Any] = listener["listener_filters"][0]["typed_config"]
    return found


def table(catalog: Catalog, over: Mapping[str, Any] = DNS) -> dict[str, Any]:
    """Names and what they lead to, in order."""
    domains = config(catalog, over)["server_config"]["inline_dns_table"]["virtual_domains"]
    assert len({one["name"] for one in domains}) == len(domains)
    return {one["name"]: one["endpoint"] for one in domains}


def test_without_the_setting_there_is_no_listener() -> None:
    assert "dns" not in plan(sample.settings(), sample.CATALOG, assets.load()).listeners


def test_names_services_and_their_instances_are_in_the_table() -> None:
    found = table(sample.CATALOG)
    assert found["orders.service.consul"] == {"address_list": {"address": ["10.0.0.1", "10.0.0.2"]}}
    assert found["orders.pillion"] == found["empty.pillion"] == {"address_list": {"address": ["127.0.0.1"]}}
    assert "empty.service.consul" not in found
    assert list(found)[-1] == "service.consul", "Envoy takes services only for a suffix that it knows already"
    services = {one["service_name"]: one for one in found["service.consul"]["service_list"]["services"]}
    assert set(services) == {"orders", "stock"}
    (target,) = services["stock"]["targets"]
    assert (target["port"], target["priority"]) == (15006, 0)
    assert found[target["host_name"]] == {"address_list": {"address": ["10.0.0.3"]}}


def test_an_empty_mesh_has_an_empty_table() -> None:
    assert table(Catalog()) == {}


def test_kubernetes_names_stay_with_the_clusters_own_dns() -> None:
    assert not [name for name in table(sample.CATALOG) if ".svc" in name]


def test_an_address_of_two_services_is_one_name() -> None:
    shared = (Instance("i", Address("10.0.0.1", 80)),)
    found = table(Catalog({name: Service(name, shared) for name in ("a", "b")}))
    targets = [one["targets"][0]["host_name"] for one in found["service.consul"]["service_list"]["services"]]
    assert targets[0] == targets[1]


def test_other_names_go_to_consuls_dns_unless_the_setting_says_where() -> None:
    def resolvers(over: Mapping[str, Any]) -> list[tuple[str, int]]:
        resolver = config(Catalog(), over)["client_config"]["typed_dns_resolver_config"]["typed_config"]
        sockets = [one["socket_address"] for one in resolver["resolvers"]]
        return [(one["address"], one["port_value"]) for one in sockets]

    assert resolvers(DNS) == [("127.0.0.1", 8600)]
    assert resolvers({**DNS, "registry": {"address": "http://[2001:db8::5]:8500"}}) == [("2001:db8::5", 8600)]
    given = {
        "outbound": {"dns": "127.0.0.1:0", "dns_resolvers": ["10.0.0.2", "[::1]:53", "::1", "127.0.0.1:5353"]}
    }
    assert resolvers(given) == [("10.0.0.2", 53), ("::1", 53), ("::1", 53), ("127.0.0.1", 5353)]


@pytest.mark.parametrize("name", ["dns", "external_cluster"])
@pytest.mark.parametrize("content", [{}, {"listener_filters": []}, {"address": []}])
def test_a_fragment_of_another_shape_is_named(name: str, content: dict[str, Any]) -> None:
    """One that `proxy.assets_dir` puts in the place of ours."""
    fragments = Fragments({**assets.load().content, name: content})
    with pytest.raises(Misconfigured) as error:
        plan(sample.settings(DNS), sample.CATALOG, fragments)
    assert f"{name}.yaml" in str(error.value.problems[0])
