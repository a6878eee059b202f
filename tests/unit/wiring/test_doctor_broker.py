"""Which servers of an inbox's broker are knocked at."""

import pytest

from agent.wiring import doctor_broker


@pytest.mark.parametrize(
    ("url", "places"),
    [
        ("nats://a", [("a", 4222)]),
        ("nats://u:p@a:1, nats://u:p@b", [("a", 1), ("b", 4222)]),
        ("nats://u:p@a:1,u:p@b:2", [("a", 1), ("b", 2)]),
        ("amqps://u:p@a/shop,amqps://u:p@[::1]:2/shop", [("a", 5671), ("::1", 2)]),
        ("kafka://u:1,2@a,b:3", [("a", 9092), ("b", 3)]),
        ("redis://u:1,2@a/0", [("a", 6379)]),
        ("nats://u:secret", []),
    ],
)
def test_the_servers_of_a_url_are_found_without_its_secrets(url: str, places: list[tuple[str, int]]) -> None:
    assert doctor_broker._places(url) == places
