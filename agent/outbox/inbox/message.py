"""A message of a broker as the service gets it: CloudEvents over HTTP, binary mode. Pure; messages are hostile until
they have passed here.

Source: CloudEvents 1.0.2, HTTP and NATS protocol bindings (both percent-encode attributes the same way); W3C Trace
Context; the draft of the Idempotency-Key header field.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from agent.outbox.brokers.headers import encoded
from agent.outbox.events import TRACEPARENT

_ATTRIBUTE = re.compile(r"ce-[a-z0-9]{1,40}")
VALUE = re.compile(r"[\x20-\x7e]{0,4096}")
"""What an attribute may be in a header."""
_TYPE = re.compile(r"[!-~][\x20-\x7e]{0,255}")
_LONGEST_STATE = 512


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a broker hands out."""

    number: int
    """Names the parcel to its source while the connection lives, and no other that is open."""
    topic: str
    """As the broker names it."""
    headers: Mapping[str, str]
    """Names in lower case; nothing of it is checked."""
    body: bytes
    origin: str
    """Names the place that it is kept in, for messages that have no source of their own."""
    token: str
    """Its id where it brings none: printable ASCII, the same whenever it is handed out, and no other's there."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, checked. Attributes are as they stand in headers, percent-encoded."""

    parcel: Parcel
    key: str | None
    """What it is ordered by; None: by nothing."""
    id: str
    source: str
    type: str
    headers: Mapping[str, str]
    """For the request; without those of the trace."""
    traceparent: str
    """Empty where there is none that is valid."""
    tracestate: str
    digest: bytes
    """Of source and id: 32 bytes under which it is remembered."""

    @property
    def body(self) -> bytes:
        """What is posted."""
        return self.parcel.body


def message(parcel: Parcel) -> Message:
    """The parcel as a message. What is no CloudEvent becomes one; a header that can't be one is left out."""
    attributes = {
        name: value
        for name, value in parcel.headers.items()
        if _ATTRIBUTE.fullmatch(name) and VALUE.fullmatch(value)
    }
    traceparent = attributes.pop("ce-traceparent", "")
    tracestate = attributes.pop("ce-tracestate", "")
    valid = bool(TRACEPARENT.fullmatch(traceparent))
    attributes.setdefault("ce-specversion", "1.0")
    identity = attributes.get("ce-id") or parcel.token
    source = attributes.get("ce-source") or f"/{parcel.origin}"
    kind = attributes.get("ce-type") or _plain(parcel.topic)
    attributes.update({"ce-id": identity, "ce-source": source, "ce-type": kind})
    content = parcel.headers.get("content-type", "") or attributes.get("ce-datacontenttype", "")
    attributes.pop("ce-datacontenttype", None)  # in binary mode over HTTP it is Content-Type
    return Message(
        parcel=parcel,
        key=attributes.get("ce-partitionkey", attributes.get("ce-subject")),
        id=identity,
        source=source,
        type=kind,
        headers={
            **attributes,
            "Idempotency-Key": identity,
            **({"Content-Type": content} if parcel.body and _TYPE.fullmatch(content) else {}),
        },
        traceparent=traceparent if valid else "",
        tracestate=tracestate if valid and len(tracestate) <= _LONGEST_STATE else "",
        digest=digest(source, identity),
    )


def digest(source: str, identity: str) -> bytes:
    """What a message is remembered by."""
    return hashlib.sha256(f"{source}\n{identity}".encode()).digest()


def placed(place: str, body: bytes) -> str:
    """The token of a message that only its place in the broker names."""
    # A place that was made anew counts from the beginning again: the place alone would name two messages.
    return f"{place}-{hashlib.sha256(body).hexdigest()[:16]}"


def headers(attributes: Mapping[str, str], content: str = "") -> dict[str, str]:
    """The headers of a parcel whose broker keeps CloudEvents attributes as plain text, by their names without a prefix;
    ``content`` is the media type of its body."""
    found = {f"ce-{name}": encoded(value) for name, value in attributes.items()}
    return {**found, "content-type": content} if content else found


def _plain(topic: str) -> str:
    return "".join(each if "!" <= each <= "~" else "_" for each in topic) or "message"
