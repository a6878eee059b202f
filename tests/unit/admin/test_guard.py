"""Who may use the API."""

import pytest

from agent.admin.guard import is_loopback


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:15020", "127.0.0.1", "127.0.0.1:15020", "127.5.5.5:1", "[::1]", "[::1]:15020"],
)
def test_loopback_hosts_are_let_in(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:15020", "localhost.evil.example", "127.0.0.1.evil.example",
        "10.0.0.1", "0.0.0.0:15020", "[::2]:1", "[::1", "[::1]x", "localhost:", "localhost:1x",
        "127.0.0.1@evil", "::1:1:x", "[]:",
    ],
)  # fmt: skip
def test_every_other_host_is_refused(host: str) -> None:
    assert not is_loopback(host)
