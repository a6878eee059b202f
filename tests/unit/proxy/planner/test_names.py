"""What of the catalogue is used at all."""

import pytest

from agent.model.address import Address
from agent.model.names import is_service
from agent.proxy.planner import names


@pytest.mark.parametrize("name", ["orders", "a", "o-1", "x" * 63, "1a"])
def test_a_dns_label_is_a_service(name: str) -> None:
    assert is_service(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "s3.amazonaws.com",
        "localhost",
        "consul",
        "UP",
        "a_b",
        "x" * 64,
        "*",
        "2130706433",
        "0x7f000001",
        "a\n",
        "é",
    ],
)
def test_anything_else_captures_nothing(name: str) -> None:
    assert not is_service(name)


@pytest.mark.parametrize("alias", ["orders.shop.svc", "orders.shop.svc.cluster.local"])
def test_kubernetes_names_are_aliases(alias: str) -> None:
    assert names.is_alias(alias)


@pytest.mark.parametrize(
    "alias", ["orders", "s3.amazonaws.com", "a.svc", "*.shop.svc", "a.b.c.svc", "a.b.svc.x"]
)
def test_no_other_host_can_be_taken_as_an_alias(alias: str) -> None:
    assert not names.is_alias(alias)


@pytest.mark.parametrize(
    ("host", "port", "usable"),
    [
        ("10.0.0.1", 80, True), ("::1", 65535, True), ("host.example", 80, False), ("0.0.0.0", 80, False),
        ("10.0.0.1", 0, False), ("10.0.0.1", 65536, False), ("fe80::1%eth0", 80, False),
        ("224.0.0.1", 80, False), ("", 80, False),
    ],
)  # fmt: skip
def test_only_an_ip_address_with_a_port_is_an_endpoint(host: str, port: int, usable: bool) -> None:
    assert names.is_endpoint(Address(host, port)) is usable


@pytest.mark.parametrize(
    ("path", "usable"),
    [
        ("/", True), ("/orders", True), ("/api/{version}/orders", True), ("/a.b/c~d", True),
        ("orders", False), ("", False),
        ("//", False), ("/a?b", False), ("/a%2fb", False), ("/a b", False),
        ("/v{version}", False), ("/{version}/{version}", False),
        ("/" + "x" * 200, False), ("/a\n", False),
    ],
)  # fmt: skip
def test_a_published_route_is_a_plain_prefix(path: str, usable: bool) -> None:
    assert names.is_prefix(path) is usable
