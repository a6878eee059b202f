"""An event's attributes as Kafka's headers, by the CloudEvents binding in binary mode: UTF-8, not encoded further."""

from typing import cast

from agent.outbox.events import Event

_KNOWN = 1000
"""Kinds that are remembered; sources and types are few, but it is others who make them."""

Header = tuple[str, bytes]
Wire = tuple[str, str | bytes | None]
"""As the library has it."""


class Headers:
    """Makes headers. What events of one kind have in common is made once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], tuple[list[Header], int]] = {}

    def of(self, event: Event) -> tuple[list[Wire], int]:
        """The headers, and how many bytes their names and values have."""
        kind = (event.source, event.type, event.content if event.body else "")
        common, size = self._known.get(kind) or self._learn(kind)
        found = [*common, ("ce_id", event.id.encode()), ("ce_sequence", event.sequence.encode())]
        if event.key is not None:
            key = event.key.encode()
            found.append(("ce_partitionkey", key))
            if key:
                found.append(("ce_subject", key))
        if event.time:
            found.append(("ce_time", event.time.encode()))
        if event.traceparent:
            found.append(("ce_traceparent", event.traceparent.encode()))
        if event.tracestate:
            found.append(("ce_tracestate", event.tracestate.encode()))
        for name, value in found[len(common) :]:
            size += len(name) + len(value)
        return cast("list[Wire]", found), size

    def _learn(self, kind: tuple[str, str, str]) -> tuple[list[Header], int]:
        source, name, content = (each.encode() for each in kind)
        found = [("ce_specversion", b"1.0"), ("ce_source", source), ("ce_type", name)]
        if content:
            found.append(("content-type", content))
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[kind] = found, sum(len(name) + len(value) for name, value in found)
        return self._known[kind]
