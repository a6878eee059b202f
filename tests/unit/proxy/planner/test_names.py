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


def test_kubernetes_names_are_aliases_the_short_one_only_where_the_operator_named_the_namespace() -> None:
    long = ("orders.shop.svc", "orders.shop.svc.cluster.local")
    assert names.aliases("orders", "shop") == long
    assert names.aliases("orders", "shop", {"shop"}) == (*long, "orders.shop")
    assert names.aliases("orders", "pillion", {"pillion"})[2:] == (), "that name means the service anyway"
    assert names.aliases("example", "com", {"shop", ""}) == (
        "example.com.svc",
        "example.com.svc.cluster.local",
    )


@pytest.mark.parametrize("namespace", ["", "a.b", "*", "Shop", "-a", "a-", "x" * 64, "a\n", "é", "a:1"])
def test_what_is_no_label_is_no_namespace(namespace: str) -> None:
    assert not names.is_namespace(namespace)


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
