"""The variables that lead a service to its sidecar."""

from agent.model.address import Address
from agent.proxy.environment import service_environment


def test_both_cases_of_each_name_are_set() -> None:
    found = service_environment(Address("127.0.0.1", 15001), {}, {})
    assert found["HTTP_PROXY"] == found["http_proxy"] == "http://127.0.0.1:15001"
    assert found["NO_PROXY"] == found["no_proxy"]
    assert {"localhost", "127.0.0.1", "::1", "169.254.169.254"} <= set(found["NO_PROXY"].split(","))
    assert "HTTPS_PROXY" not in found
    assert (
        service_environment(Address("0.0.0.0", 1), {}, {}, https=True)["https_proxy"] == "http://127.0.0.1:1"
    )


def test_the_operators_own_exceptions_stay() -> None:
    found = service_environment(Address("127.0.0.1", 1), {}, {"NO_PROXY": "db.example, 10.0.0.0/8,localhost"})
    hosts = found["no_proxy"].split(",")
    assert hosts[:2] == ["db.example", "10.0.0.0/8"]
    assert hosts.count("localhost") == 1


def test_explicit_ports_are_told() -> None:
    found = service_environment(Address("127.0.0.1", 1), {"stock-room": 15100}, {})
    assert found["PILLION_UPSTREAM_STOCK_ROOM"] == "http://127.0.0.1:15100"
