"""Ports 0 become real ones, once."""

from agent.config.bound import bound, listeners, ports
from agent.config.sections.proxy import Proxy
from agent.config.sections.traffic import Upstream
from agent.config.settings import Settings


def test_only_ports_that_are_zero_are_chosen() -> None:
    asked: list[tuple[str, str, int]] = []

    def keep(name: str, host: str, port: int) -> int:
        asked.append((name, host, port))
        return port or 20000 + len(asked)

    settings = Settings(
        proxy=Proxy(inbound="127.0.0.1:0"), upstreams={"orders": Upstream(port=0), "stock": Upstream()}
    )
    result = bound(settings, keep)
    assert result.proxy.inbound == "127.0.0.1:20001"
    assert result.proxy.outbound == settings.proxy.outbound
    assert result.upstreams["orders"].port > 20000
    assert result.upstreams["stock"].port == -1
    assert ("inbound", "127.0.0.1", 0) in asked
    assert result.service.port > 0
    assert bound(result, lambda _name, _host, port: port) == result


def test_what_is_off_has_no_port() -> None:
    settings = bound(Settings(), lambda _name, _host, port: port or 20000)
    assert "metrics" not in ports(settings)
    assert ports(settings)["inbound"] == 15006


def test_every_listener_of_the_kind_is_told_by_its_setting() -> None:
    settings = Settings(proxy=Proxy(inbound="127.0.0.1:1", outbound="127.0.0.1:2"))
    assert list(listeners(settings)) == ["proxy.inbound", "proxy.outbound", "admin.listen", "admin.health"]
    assert next(iter(listeners(settings, gateway=True))) == "gateway.listen"
    assert str(listeners(settings)["proxy.outbound"]) == "127.0.0.1:2"


def test_what_somebody_elses_envoy_listens_at_is_not_told() -> None:
    settings = Settings(proxy=Proxy(mode="external"))
    assert all(
        key.startswith("admin.") for gateway in (False, True) for key in listeners(settings, gateway=gateway)
    )
