"""A row as an event: CloudEvents 1.0 attributes, checked. Pure; rows are hostile until they have passed here.

Source: CloudEvents 1.0.2 (context attributes; extensions: partitioning, sequence, distributed tracing),
W3C Trace Context.
"""

import hashlib
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import msgspec

from agent.outbox.feeds import Feed

TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}")
_TOKEN = re.compile(r"[^\s.*>\x00-\x1f\x7f]+")
_DIGEST = 16
LONGEST_TOPIC = 512
LONGEST_ATTRIBUTE = 4096
STEM = LONGEST_ATTRIBUTE + 1 - 64
"""Characters that are left of a key that is longer; a digest of all of it comes behind, so that no two are the same."""
_KNOWN = 1000
"""Topics that are remembered; they are few, but it is others who make them."""
UNREADABLE = -1
"""The size of a row's body that can't be read; ``unreadable`` says why."""


class RefusedError(ValueError):
    """The row can't be an event, and won't be one on a second try; the text shows no value of the row."""


class UnjudgedError(RefusedError):
    """Nothing is known of the row, so it may be a good one: it could not be read, or nobody lived to hear what the
    broker says to it. It is never left out."""


# Not a frozen dataclass, which takes five times as long to make: there is one for every row.
class Event(msgspec.Struct, frozen=True, gc=False):
    """One event, ready for any broker."""

    row: int
    """The row's number in its feed."""
    bucket: int
    key: str | None
    """What it is ordered by; None: by nothing."""
    topic: str
    id: str
    """Never changes, whoever sends it and how often."""
    source: str
    type: str
    time: str
    """RFC 3339, empty where the table does not say."""
    content: str
    """Media type of the body."""
    traceparent: str
    """Checked; empty where there is none."""
    tracestate: str
    sequence: str
    """``<history, 6 digits>-<row, 20 digits>``: sorts as text."""
    body: bytes
    feed: str = ""
    """The table that it was read from: two tables may hold the same uuid."""


@dataclass(frozen=True)
class Maker:
    """Makes the events of one feed."""

    service: str
    feed: Feed
    content: str
    history: int
    adopted: tuple[int, ...] = ()
    """The highest row number at each time that the feed was adopted after a restore."""
    partitions: int = 1
    """Into how many topics each topic is spread, by key."""
    _topics: dict[tuple[str | None, str | None, int], str] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def event(self, row: Mapping[str, Any]) -> Event:
        """The row's event; raises RefusedError."""
        body = row["body"]
        if body is None and row["size"] is not None:
            if row["size"] == UNREADABLE:
                raise UnjudgedError(row["unreadable"])
            raise RefusedError(f"its body of {row['size']} bytes is larger than the broker takes")
        number, bucket = row["id"], row["bucket"]
        traceparent, tracestate = trace(row["traceparent"], row["tracestate"])
        place = (row["origin"], row["kind"], bucket % self.partitions)
        return Event(
            row=number,
            bucket=bucket,
            key=_attribute("key", row["key"]),
            topic=self._topics.get(place) or self._topic(*place),
            id=_attribute("id", row["event"]) or self._identity(row),
            source=f"/{self.service}",
            type=_attribute("type", row["type"]) or f"{self.feed.table.table}.created",
            time=row["created"] or "",
            content=self.content,
            traceparent=traceparent,
            tracestate=tracestate,
            sequence=f"{self.history:06d}-{number:020d}",
            body=body or b"",
            feed=self.feed.name,
        )

    def _identity(self, row: Mapping[str, Any]) -> str:
        # A sequence's number alone may come again with other content after a crash that lost asynchronous
        # commits. After a restore it may come again even with the same content, and be another event: what was
        # published in the meantime is not known here.
        digest = hashlib.sha256()
        lives = sum(row["id"] > last for last in self.adopted)
        if lives:
            digest.update(b"adopted %d:" % lives)
        for part in (row["kind"], row["key"], row["type"], row["body"]):
            data = part.encode() if isinstance(part, str) else part or b""
            digest.update(b"%d:" % len(data) + data)
        return f"{self.feed.name}-{row['id']}-{digest.hexdigest()[:_DIGEST]}"

    def _topic(self, origin: str | None, kind: str | None, partition: int) -> str:
        template = self.feed.topics.get(origin or "", self.feed.topics[""])
        if self.partitions > 1:
            template = f"{template}.{partition}"
        table = _table(origin, self.feed)
        made = topic(template, service=self.service, table=table, aggregatetype=kind or "")
        if len(self._topics) >= _KNOWN:
            self._topics.clear()
        self._topics[origin, kind, partition] = made
        return made


def blank(row: Mapping[str, Any], number: int) -> Event:
    """What stands in for a row that is no event: it has its place and key, and is never sent."""
    return Event(
        row=number, bucket=row["bucket"] or 0, key=row["key"], topic="", id="", source="", type="", time="",
        content="", traceparent="", tracestate="", sequence="", body=b"",
    )  # fmt: skip


def topic(template: str, **values: str) -> str:
    """The template filled in; raises RefusedError for a topic that is none, or that is not for events."""
    try:
        filled = string.Formatter().vformat(template, (), values)
    except (KeyError, IndexError, ValueError, AttributeError):
        raise RefusedError(f"its topic {template!r} has a place for what is not known") from None
    if len(filled) > LONGEST_TOPIC or not all(_TOKEN.fullmatch(token) for token in filled.split(".")):
        raise RefusedError(
            f"its topic, made from {template!r}, is empty in a part, too long, or has a space or a wildcard"
        )
    if filled.startswith(("$", "_INBOX.")):
        raise RefusedError(f"its topic, made from {template!r}, is one of the broker's own")
    return filled


def patterns(feed: Feed, service: str, partitions: int = 1) -> frozenset[str]:
    """The topics of a feed's events as patterns of the broker, for a stream that has to be made."""
    found = set()
    for origin, template in feed.topics.items():
        if feed.own and not origin:
            continue
        last = template.endswith("{aggregatetype}")
        filled = template.replace("{aggregatetype}", ">" if last else "*")
        if partitions > 1 and not last:
            filled += ".*"
        found.add(filled.replace("{service}", service).replace("{table}", _table(origin or None, feed)))
    return frozenset(found)


def shortened(key: str) -> str:
    """A key as it is read: one that is too long for an event has one character more than may be, whatever it is."""
    if len(key) <= LONGEST_ATTRIBUTE:
        return key
    return key[:STEM] + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def trace(traceparent: str | None, tracestate: str | None) -> tuple[str, str]:
    """The trace context where it is valid, else nothing: a wrong one is no reason to refuse an event."""
    if traceparent is None or not TRACEPARENT.fullmatch(traceparent):
        return "", ""
    if traceparent.startswith("00") and len(traceparent) != 55:
        return "", ""
    state = unquote(tracestate, errors="replace") if tracestate else ""
    return traceparent, state if _TRACESTATE.fullmatch(state) else ""


def _attribute(name: str, value: str | None) -> str | None:
    if value is not None and len(value) > LONGEST_ATTRIBUTE:
        raise RefusedError(f"its {name} is longer than {LONGEST_ATTRIBUTE} characters")
    return value


def _table(origin: str | None, feed: Feed) -> str:
    name = origin or feed.name
    return name.rpartition(".")[2].strip('"')
