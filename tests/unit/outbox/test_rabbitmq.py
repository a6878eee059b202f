"""RabbitMQ's URL and the token of an event; nothing is connected."""

import pytest
from msgspec.structs import replace

from agent.config.sections.outbox import Broker
from agent.outbox import brokers
from agent.outbox.brokers import rabbitmq, rabbitmq_connection
from agent.runtime.errors import Misconfigured
from tests.integration.outbox.brokers.carrier import events


def test_a_url_says_where_as_whom_and_to_which_virtual_host() -> None:
    server = rabbitmq_connection.Server.parse("amqps://me:p%40ss@host/a%2Fb")
    assert server == rabbitmq_connection.Server("host", 5671, True, "a/b", "me", "p@ss")
    assert rabbitmq_connection.Server.parse("amqp://host") == rabbitmq_connection.Server(
        "host", 5672, False, "/", "guest", "guest"
    )
    assert "p@ss" not in f"{server} {server!r}"


@pytest.mark.parametrize(
    "url",
    [
        "amqp://me:hunter2@",
        "amqp://me:hunter2@host:port",
        "amqp://me:hunter2@[::1",
        "amqp://me:hunter2@host?verify=no",
        "amqp://ok,amqp://me:hunter2@[::1",
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Misconfigured) as error:
        brokers.make(Broker(url=url), "shop")
    assert "outbox.broker.url" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_an_exchange_of_rabbitmq_s_own_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"outbox\.broker\.stream"):
        brokers.make(Broker(url="amqp://host", stream="amq.topic"), "shop")


def test_a_token_is_short_and_the_same_at_each_try() -> None:
    (event,) = events("p", 1)
    assert rabbitmq.token(event) == "/shop/public.orders/p-1"
    long = replace(event, id="x" * 300)
    assert rabbitmq.token(long) == rabbitmq.token(long)
    assert len(rabbitmq.token(long)) == 64
    assert rabbitmq.token(long) != rabbitmq.token(replace(long, id="y" * 300))
