"""The address of Consul."""

import pytest

from agent.registry.endpoint import Endpoint, is_loopback, is_wildcard
from agent.runtime.errors import Misconfigured


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("127.0.0.1:8500", Endpoint("http", "127.0.0.1", 8500)),
        ("http://consul", Endpoint("http", "consul", 8500)),
        ("https://consul/", Endpoint("https", "consul", 8501)),
        ("https://[::1]:8443", Endpoint("https", "::1", 8443)),
        ("consul.internal", Endpoint("http", "consul.internal", 8500)),
    ],
)
def test_a_url_or_host_and_port_will_do(address: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(address) == endpoint
    assert Endpoint.parse(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    "address",
    [
        "",
        "unix:///run/consul.sock",
        "http://",
        "http://h:99999",
        "http://h/x",
        "http://h?token=x",
        "h:port",
        "http://[x",
    ],
)
def test_anything_else_is_a_problem_of_the_setting(address: str) -> None:
    with pytest.raises(Misconfigured) as raised:
        Endpoint.parse(address)
    assert raised.value.problems[0].key == "registry.address"


def test_credentials_in_the_address_are_refused_and_not_shown() -> None:
    with pytest.raises(Misconfigured) as raised:
        Endpoint.parse("http://user:hunter2@h:1")
    assert "hunter2" not in str(raised.value)


def test_loopback_and_wildcard_addresses_are_known() -> None:
    assert is_loopback("127.8.8.8")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("10.0.0.1")
    assert not is_loopback("consul")
    assert is_wildcard("0.0.0.0")
    assert is_wildcard("::")
    assert not is_wildcard("10.0.0.1")
    assert not is_wildcard("localhost")
