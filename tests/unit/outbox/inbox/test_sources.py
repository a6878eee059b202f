"""Which broker a URL names."""

import pytest

from agent.config.sections.inbox import InboxBroker
from agent.outbox.inbox import sources
from agent.runtime.errors import Misconfigured


@pytest.mark.parametrize("url", ["kafka://user:secret@h", "secret", ""])
def test_an_unknown_scheme_is_refused_without_showing_the_url(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        sources.make(InboxBroker(), url, lambda: url, "c", 10)
    assert "secret" not in str(caught.value)
    assert "nats://" in str(caught.value)


def test_nats_is_known() -> None:
    assert sources.make(InboxBroker(), "nats://h", lambda: "nats://h", "c", 10).name == "nats"
