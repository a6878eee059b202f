"""Events as requests, from values that others wrote."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.config.sections.outbox import Broker
from agent.outbox import brokers
from agent.outbox.brokers import http, signing
from agent.outbox.brokers.requests import Encoder, Endpoint
from agent.runtime.errors import Misconfigured
from tests.unit.outbox.test_redis_wire import EVENT

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@given(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9), st.binary(max_size=20))
def test_no_value_of_an_event_ends_a_header_or_the_head(key: str, kind: str, topic: str, body: bytes) -> None:
    event = replace(EVENT, key=key, type=kind, topic=topic, id=key, time=kind, body=body)
    encoder = Encoder(Endpoint.parse("http://u:p@host/a?b=c"))
    for _ in range(2):
        head, _, rest = encoder.request(event, (), 5)[0].partition(b"\r\n\r\n")
        assert rest == body
        lines = head.decode("ascii").split("\r\n")
        assert lines[0] == "POST /a?b=c HTTP/1.1"
        assert all(re.fullmatch(r"[A-Za-z-]+: [ -~]*", line) for line in lines[1:])
        assert f"Content-Length: {len(body)}" in lines


@pytest.mark.parametrize(
    "url",
    [
        "http://me:hunter2@ho st/",
        "http://me:hunter2@host:port/",
        "http://me:hunter2@[::1/",
        "http://me:hunter2@host/a b",
        "http://me:hunter2@host/a#b",
        "http://me:hunter2@/a",
        "https://me:hunter2@host/\u00fc",
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Misconfigured) as error:
        brokers.make(Broker(url=url), "shop")
    assert "outbox.broker.url" in str(error.value)
    assert "hunter2" not in f"{error.value} {error.value!r}"


@pytest.mark.parametrize("secret", ["hunter2", "whsec_hunter2", "whsec_aHVudGVyMg==", f"{KEY} hunter2"])
def test_a_secret_that_is_none_is_refused_without_it(secret: str) -> None:
    with pytest.raises(Misconfigured) as error:
        brokers.make(Broker(url="https://host/", secret=secret), "shop")
    assert "outbox.broker.secret" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_an_endpoint_never_shows_its_password() -> None:
    endpoint = Endpoint.parse("https://me:hunter2%40@[::1]:8443/a")
    assert endpoint.authorization == "Basic " + base64.b64encode(b"me:hunter2@").decode()
    assert (str(endpoint), endpoint.path, endpoint.tls) == ("[::1]:8443", "/a", True)
    assert "hunter2" not in repr(endpoint)
    assert endpoint.authorization not in repr(endpoint)


def test_a_signature_is_that_of_the_specifications_example() -> None:
    body = b'{"test": 2432232314}'
    made = signing.signature(signing.secrets(KEY), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://receiver/", True),
        ("http://10.0.0.1/", True),
        ("http://127.0.0.1:80/", False),
        ("http://localhost/", False),
        ("http://[::1]/", False),
        ("https://receiver/", False),
    ],
)
def test_a_receiver_over_the_network_without_tls_is_warned_of(url: str, warned: bool) -> None:
    assert bool(http.warnings(Endpoint.parse(url))) == warned
