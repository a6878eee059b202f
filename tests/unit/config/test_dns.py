"""Settings of the DNS listener that fit together."""

from typing import Any

import msgspec
import pytest

from agent.config import checks
from agent.config.settings import Settings
from agent.runtime.errors import Misconfigured


def wrongs(**outbound: Any) -> list[str]:
    """What is wrong with settings of `outbound`, as keys and clauses."""
    registry = {"address": outbound.pop("registry", "http://127.0.0.1:8500")}
    settings = msgspec.convert({"outbound": outbound, "registry": registry}, Settings)
    try:
        checks.check(settings)
    except Misconfigured as error:
        return [f"{one.key} {one.wrong}" for one in error.problems]
    return []


@pytest.mark.parametrize(
    "resolver", ["10.0.0.2", "10.0.0.2:53", "::1", "[::1]", "[::1]:5353", "127.0.0.1:8600"]
)
def test_a_resolver_is_an_ip_address_with_or_without_a_port(resolver: str) -> None:
    assert wrongs(dns="127.0.0.1:15053", dns_resolvers=[resolver]) == []


@pytest.mark.parametrize("resolver", ["1", "10.0.0", "10.0.0.2:0", "10.0.0.2:99999", ":53", "a:b"])
def test_anything_else_is_refused(resolver: str) -> None:
    (wrong,) = wrongs(dns_resolvers=["10.0.0.2", resolver])
    assert wrong.startswith("outbound.dns_resolvers[1] ")


def test_the_listener_does_not_ask_itself() -> None:
    (wrong,) = wrongs(dns="127.0.0.1:53", dns_resolvers=["127.0.0.1"])
    assert "outbound.dns itself" in wrong


def test_a_consul_that_is_known_by_name_only_needs_resolvers() -> None:
    (wrong,) = wrongs(dns="127.0.0.1:15053", registry="http://consul:8500")
    assert wrong.startswith("outbound.dns_resolvers ")
    assert wrongs(dns="", registry="http://consul:8500") == []
    assert wrongs(dns="127.0.0.1:15053", registry="http://localhost:8500") == []
    assert wrongs(dns="127.0.0.1:15053", registry="http://consul:8500", dns_resolvers=["10.0.0.2"]) == []


def test_the_listener_is_an_address_of_its_own() -> None:
    assert wrongs(dns="localhost:15053") != []
    assert wrongs(dns="127.0.0.1:15001") != []
    assert wrongs(dns="127.0.0.1:0") == []
