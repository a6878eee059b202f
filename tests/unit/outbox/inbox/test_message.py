"""Messages are hostile until they are checked."""

from hypothesis import given as with_values
from hypothesis import strategies as st

from agent.outbox.inbox.message import Parcel, digest, headers, message, placed

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PLAIN = {"ce-id": "e", "ce-source": "/s", "ce-type": "t", "ce-specversion": "1.0"}


def parcel(body: bytes = b"{}", topic: str = "a.b", **headers: str) -> Parcel:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Parcel(7, topic, {**PLAIN, **named}, body, "nats/s", "7")


def test_attributes_pass_as_they_are_and_the_type_of_the_data_is_a_header_of_http() -> None:
    made = message(
        parcel(content_type="application/json", ce_datacontenttype="application/json", ce_x="%20y")
    )
    assert made.headers == {
        **PLAIN,
        "ce-x": "%20y",
        "Idempotency-Key": "e",
        "Content-Type": "application/json",
    }


def test_the_trace_is_apart_and_only_a_valid_one() -> None:
    assert message(parcel(ce_traceparent=PARENT, ce_tracestate="a=b")).tracestate == "a=b"
    bad = message(parcel(ce_traceparent="00-0-0-0", ce_tracestate="a=b"))
    assert (bad.traceparent, bad.tracestate) == ("", "")


def test_the_partition_key_counts_before_the_subject() -> None:
    assert message(parcel(ce_subject="s", ce_partitionkey="p")).key == "p"
    assert message(parcel(ce_subject="s")).key == "s"
    assert message(parcel()).key is None


def test_source_and_id_together_are_what_is_remembered() -> None:
    assert digest("a", "b") != digest("a", "c")
    assert digest("a", "b") != digest("ab", "")
    assert message(parcel()).digest == digest("/s", "e")


def test_without_an_id_the_token_of_the_broker_is_one() -> None:
    assert message(Parcel(3, "a", {}, b"x", "nats/s", "t")).id == "t"
    assert placed("3", b"x") == placed("3", b"x")
    assert placed("3", b"x") != placed("3", b"y")
    assert placed("3", b"x") != placed("4", b"x")


def test_plain_attributes_become_headers_as_http_has_them() -> None:
    assert headers({"id": "1", "subject": 'grün & 5%"'}, "a/b") == {
        "ce-id": "1",
        "ce-subject": "gr%C3%BCn%20&%205%25%22",
        "content-type": "a/b",
    }
    assert headers({}) == {}


@with_values(
    st.dictionaries(
        st.one_of(st.sampled_from(["ce-id", "ce-type", "content-type", "ce-subject"]), st.text()), st.text()
    ),
    st.text(max_size=20),
    st.binary(max_size=20),
)
def test_whatever_comes_can_be_sent_as_headers(given: dict[str, str], topic: str, body: bytes) -> None:
    lower = {name.lower(): value for name, value in given.items()}
    made = message(Parcel(1, topic, lower, body, "nats/s", "1"))
    for name, value in made.headers.items():
        assert name.isascii()
        assert value.isascii()
        assert value.isprintable() or not value
    assert {"ce-id", "ce-source", "ce-type", "ce-specversion", "Idempotency-Key"} <= set(made.headers)
    assert made.id
    assert made.key is None or made.key.isascii()
