"""Who is told about our traces."""

import pytest

from tests.unit.carry.conftest import Hook


@pytest.fixture(autouse=True)
def _ports(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook.mesh, "PORTS", frozenset({15301}))
    hook.mesh.holds.cache_clear()


@pytest.mark.parametrize(
    "host",
    [
        "orders",
        "ORDERS",
        "orders.",
        "orders.service.consul",
        "v1.orders.service.consul",
        "orders.service.dc1.consul",
        "orders.pillion",
        "orders.shop.svc",
        "orders.shop.svc.cluster.local",
    ],
)
def test_the_names_of_the_mesh_are_told(hook: Hook, host: str) -> None:
    assert hook.mesh.holds("http", host, 80)
    assert hook.mesh.holds_url(f"http://{host}/x")
    assert hook.mesh.holds_url(f"http://{host}:8080?x=http://example.com")


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "api.example.com",
        "orders.service.consul.example.com",
        "service.consul",
        "metadata",
        "localhost",
        "instance-data",
        "10.0.0.1",
        "2130706433",
        "0x7f000001",
        "::1",
        "127.0.0.1",
        "shop.svc.example",
        "a_b",
        "",
        "a" * 64,
        "orders\n",
        "orders.pillion.pillion.io",
        "169.254.169.254",
        "x.orders.shop.svc",
    ],
)
def test_all_others_are_not(hook: Hook, host: str) -> None:
    assert not hook.mesh.holds("http", host, 80)


def test_tls_is_never_towards_the_mesh(hook: Hook) -> None:
    assert not hook.mesh.holds("https", "orders", 443)
    assert not hook.mesh.holds_url("https://orders/x")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_only_declared_local_ports_lead_into_the_mesh(hook: Hook, host: str) -> None:
    assert hook.mesh.holds("http", host, 15301)
    assert not hook.mesh.holds("http", host, 5432)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://user:secret@orders/x", True),
        ("http://orders@example.com/x", False),
        ("http://example.com/@orders", False),
        ("http://example.com?@orders", False),
        ("http://[::1]:15301/x", True),
        ("http://[::1]:15302/x", False),
        ("HTTP://orders/x", True),
        ("http://orders:port/x", False),
        ("orders", False),
        ("", False),
    ],
)
def test_the_host_of_a_url_is_the_one_that_is_called(hook: Hook, url: str, told: bool) -> None:
    assert hook.mesh.holds_url(url) is told


@pytest.mark.parametrize(("value", "found"), [("", set()), ("1,2", {1, 2}), (" 1 , x,", {1}), ("-1", set())])
def test_a_wrong_port_in_the_list_is_left_out(hook: Hook, value: str, found: set[int]) -> None:
    assert hook.mesh.ports(value) == found
