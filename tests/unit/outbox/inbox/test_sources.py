"""Which broker a URL names."""

import pytest

from agent.config.sections.inbox import InboxBroker
from agent.outbox.inbox import sources
from agent.runtime.errors import Misconfigured


@pytest.mark.parametrize("url", ["mqtt://user:secret@h", "secret", ""])
def test_an_unknown_scheme_is_refused_without_showing_the_url(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        sources.make(InboxBroker(), url, lambda: url, "c", 10)
    assert "secret" not in str(caught.value)
    assert "nats://" in str(caught.value)


@pytest.mark.parametrize("url", ["nats://h", "tls://h", "kafka://h:1", "amqp://h", "redis://h", "rediss://h"])
def test_the_scheme_says_which_broker_it_is(url: str) -> None:
    names = {"nats": "nats", "tls": "nats", "amqp": "rabbitmq", "redis": "redis", "rediss": "redis"}
    scheme = url.partition(":")[0]
    assert sources.make(InboxBroker(url=url), url, lambda: url, "c", 10).name == names.get(scheme, scheme)


@pytest.mark.parametrize("url", ["kafka://u:secret@", "amqp://u:secret@h:port", "redis://u:secret@h:port"])
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"inbox\.broker\.url") as caught:
        sources.make(InboxBroker(url=url), url, lambda: url, "c", 10)
    assert "secret" not in str(caught.value)
