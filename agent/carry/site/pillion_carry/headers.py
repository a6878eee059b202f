"""Checking the carried headers: W3C Trace Context level 2, W3C Baggage, a request id of one word.

Envoy has checked what it can; this is what its expressions can't say (key lengths, member syntax, duplicate
keys), and the only check where the service is reached without a sidecar.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
OURS = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""A valid traceparent of version 00, which nearly all are."""
MEMBER = (
    r"(?:[a-z0-9][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
STATE = re.compile(rf"[ \t]*(?:{MEMBER})?[ \t]*(?:,[ \t]*(?:{MEMBER})?[ \t]*)*")
KEY = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
OCTETS = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
ENTRY = rf"{KEY}[ \t]*=[ \t]*{OCTETS}(?:[ \t]*;[ \t]*{KEY}(?:[ \t]*=[ \t]*{OCTETS})?)*[ \t]*"
BAGGAGE = re.compile(rf"[ \t]*{ENTRY}(?:,[ \t]*{ENTRY})*")
WORD = re.compile(r"[\x21-\x7e]{1,256}")
MEMBERS = 32
BAGGAGE_BYTES = 8192
INITIALS = frozenset((b"t", b"T", b"b", b"B", b"x", b"X"))
"""First letters of the headers that we carry: no other needs a look at what the caller has set."""
STATE_BYTES = 8192


class Checked:
    """The valid ones of the four headers; an empty text where there is none."""

    __slots__ = ("_lines", "baggage", "pairs", "request_id", "traceparent", "tracestate")

    def __init__(self, traceparent: str, tracestate: str, baggage: str, request_id: str) -> None:
        self.traceparent = traceparent
        self.tracestate = tracestate
        self.baggage = baggage
        self.request_id = request_id
        self._lines: bytes | None = None
        pairs = []
        if traceparent:
            pairs.append(("traceparent", traceparent))
        if tracestate:
            pairs.append(("tracestate", tracestate))
        if baggage:
            pairs.append(("baggage", baggage))
        if request_id:
            pairs.append(("x-request-id", request_id))
        self.pairs = tuple(pairs)

    def lines(self, present: set[bytes]) -> bytes:
        """As ``missing``, as it stands in an HTTP/1.1 request, without the last line's end."""
        if present:
            return _lines(self.missing({name.decode("latin-1") for name in present}))
        if self._lines is None:
            self._lines = _lines(self.pairs)
        return self._lines

    def encoded(self, present: set[bytes]) -> list[tuple[bytes, bytes]]:
        """As ``missing``, for libraries that work with bytes."""
        wanted = self.missing({name.decode("latin-1") for name in present}) if present else self.pairs
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in wanted]

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


def _lines(pairs: Iterable[tuple[str, str]]) -> bytes:
    return "\r\n".join(["%s: %s" % pair for pair in pairs]).encode("latin-1")


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
    if OURS.fullmatch(value):
        return value
    match = TRACEPARENT.fullmatch(value)
    if match is None:
        return ""
    version, trace, span, flags, _ = match.groups()
    if version in ("00", "ff") or trace == "0" * 32 or span == "0" * 16:
        return ""
    return "00-%s-%s-0%d" % (trace, span, int(flags, 16) & 1)


def state_of(value: str) -> str:
    """The tracestate as it came, empty when one member is invalid, a key comes twice or there are more than
    32.
    """
    if len(value) > STATE_BYTES or not STATE.fullmatch(value):
        return ""
    if "," not in value:
        return value.strip(" \t")
    members = value.split(",")
    if " " in value or "\t" in value or "" in members:
        members = [member for member in [part.strip(" \t") for part in members] if member]
    if len(members) > MEMBERS or len({member.partition("=")[0] for member in members}) < len(members):
        return ""
    return ",".join(members)


def baggage_of(value: str) -> str:
    """The baggage as it came, empty when an entry is invalid or it is longer than a carrier must take."""
    if len(value) > BAGGAGE_BYTES:
        return ""
    return value if BAGGAGE.fullmatch(value) else ""
