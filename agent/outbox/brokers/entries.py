"""An event as a command of Redis that appends it to the stream of its topic."""

from agent.outbox.brokers.redis_wire import packed
from agent.outbox.events import Event

_KNOWN = 1000
"""Beginnings that are remembered; topics and types are few, but it is others who make them."""


class Encoder:
    """Makes the commands of one link."""

    def __init__(self, *, create: bool) -> None:
        """``create``: a stream that is missing is made, else such an event is refused."""
        self._options = () if create else (b"NOMKSTREAM",)
        self._known: dict[tuple[str | bool, ...], bytes] = {}

    def command(self, event: Event) -> bytes:
        """XADD with the attributes and the body as fields."""
        key, body, time = event.key, event.body, event.time
        kind = (
            event.topic, event.source, event.type, event.content, key is None, key == "", not body, not time,
            not event.traceparent, not event.tracestate,
        )  # fmt: skip
        head = self._known.get(kind) or self._head(kind, event)
        parts = [head, _field(b"$2\r\nid\r\n", event.id), _field(b"$8\r\nsequence\r\n", event.sequence)]
        if key is not None:
            if key:
                parts.append(_field(b"$7\r\nsubject\r\n", key))
            parts.append(_field(b"$12\r\npartitionkey\r\n", key))
        if time:
            parts.append(_field(b"$4\r\ntime\r\n", time))
        if event.traceparent:
            parts.append(_field(b"$11\r\ntraceparent\r\n", event.traceparent))
        if event.tracestate:
            parts.append(_field(b"$10\r\ntracestate\r\n", event.tracestate))
        if body:
            parts.append(b"$4\r\ndata\r\n$%d\r\n%b\r\n" % (len(body), body))
        return b"".join(parts)

    def _head(self, kind: tuple[str | bool, ...], event: Event) -> bytes:
        words = [b"XADD", _encoded(event.topic), *self._options, b"*", b"specversion", b"1.0"]
        words += [b"source", _encoded(event.source), b"type", _encoded(event.type)]
        if event.body:
            words += [b"datacontenttype", _encoded(event.content)]
        fields = 2 + (event.key is not None) + bool(event.key) + bool(event.time) + bool(event.body)
        fields += bool(event.traceparent) + bool(event.tracestate)
        count, _, rest = packed(*words).partition(b"\r\n")
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[kind] = b"*%d\r\n%b" % (int(count[1:]) + 2 * fields, rest)
        return self._known[kind]


def _field(name: bytes, value: str) -> bytes:
    data = value.encode(errors="replace")
    return b"%b$%d\r\n%b\r\n" % (name, len(data), data)


def _encoded(value: str) -> bytes:
    return value.encode(errors="replace")
