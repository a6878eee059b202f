"""How the servers are asked."""

from agent.demo import readings


def test_consul_is_asked_with_the_token_where_one_is_needed() -> None:
    assert readings.asking("a-token") == {"X-Consul-Token": "a-token"}


def test_consul_without_acls_is_asked_without_a_token() -> None:
    assert readings.asking("") == {}
