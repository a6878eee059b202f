"""Checking the carried headers: W3C Trace Context level 2, W3C Baggage, a request id of one word.

Envoy has checked what it can; this is what its expressions can't say (key lengths, member syntax, duplicate
keys), and the only check where the service is reached without a sidecar.
"""

from __future__ import annotations

import re

TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
MEMBER = re.compile(
    r"([a-z0-9][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])"
)
KEY = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
OCTETS = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
ENTRY = re.compile(rf"{KEY}[ \t]*=[ \t]*{OCTETS}(?:[ \t]*;[ \t]*{KEY}(?:[ \t]*=[ \t]*{OCTETS})?)*[ \t]*")
WORD = re.compile(r"[\x21-\x7e]{1,256}")
MEMBERS = 32
BAGGAGE_BYTES = 8192
STATE_BYTES = 8192


class Checked:
    """The valid ones of the four headers; an empty text where there is none."""

    __slots__ = ("baggage", "pairs", "request_id", "traceparent", "tracestate")

    def __init__(self, traceparent: str, tracestate: str, baggage: str, request_id: str) -> None:
        self.traceparent = traceparent
        self.tracestate = tracestate
        self.baggage = baggage
        self.request_id = request_id
        named = (
            ("traceparent", traceparent),
            ("tracestate", tracestate),
            ("baggage", baggage),
            ("x-request-id", request_id),
        )
        self.pairs = tuple((name, value) for name, value in named if value)

    def missing(self, present: frozenset[str] | set[str]) -> list[tuple[str, str]]:
        """Name and value of each header that a request with the ``present`` names (lower case) lacks.

        A caller who set one half of the trace context owns the other half too.
        """
        if not present:
            return list(self.pairs)
        theirs = not present.isdisjoint(("traceparent", "tracestate"))
        return [
            (name, value)
            for name, value in self.pairs
            if name not in present and not (theirs and name in ("traceparent", "tracestate"))
        ]


def check(traceparent: str, tracestate: str, baggage: str, request_id: str) -> Checked:
    """Keep what is valid, as it may be sent; each header on its own, only the state depends on its parent."""
    parent = parent_of(traceparent)
    return Checked(
        parent,
        state_of(tracestate) if parent and tracestate else "",
        baggage_of(baggage) if baggage else "",
        request_id if WORD.fullmatch(request_id) else "",
    )


def parent_of(value: str) -> str:
    """The traceparent to send, empty when it is invalid.

    A version above ours is sent as version 00 with the one flag that we know.
    """
    match = TRACEPARENT.fullmatch(value)
    if match is None:
        return ""
    version, trace, span, flags, more = match.groups()
    if version == "ff" or trace == "0" * 32 or span == "0" * 16 or (version == "00" and more):
        return ""
    if version == "00":
        return value
    return "00-%s-%s-0%d" % (trace, span, int(flags, 16) & 1)


def state_of(value: str) -> str:
    """The tracestate as it came, empty when one member is invalid, a key comes twice or there are more than
    32.
    """
    if len(value) > STATE_BYTES:
        return ""
    members = [member for member in (part.strip(" \t") for part in value.split(",")) if member]
    keys = set()
    for member in members:
        match = MEMBER.fullmatch(member)
        if match is None or match.group(1) in keys:
            return ""
        keys.add(match.group(1))
    return ",".join(members) if len(members) <= MEMBERS else ""


def baggage_of(value: str) -> str:
    """The baggage as it came, empty when an entry is invalid or it is longer than a carrier must take."""
    if len(value) > BAGGAGE_BYTES:
        return ""
    return value if all(ENTRY.fullmatch(entry.strip(" \t")) for entry in value.split(",")) else ""
