"""HTTP/1.1 on the wire, as far as posting events needs it: one request at a time on a connection that is kept.

Of an answer only what decides is kept; its body is counted and thrown away. A client library costs several
times the processor time a request. Source: RFC 9112 (message syntax, chunked coding, keep-alive), RFC 9110
(Retry-After, Expect).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

from agent.outbox.brokers.connection import Connection

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?\r\n")
_HEADER = re.compile(
    rb"\r\n(content-length|transfer-encoding|connection|retry-after):[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)",
    re.IGNORECASE,
)
_LONGEST_HEAD = 65536
_LONGEST_BODY = 1048576
"""Bytes of an answer's body that are waited for; behind a longer one the connection is given up."""
_LONGEST_WAIT = 3600.0
_PATIENCE = 1.0
"""Seconds that a body is held back for the receiver's word; one that knows nothing of it says nothing."""
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")


@dataclass(frozen=True)
class Answer:
    """What an answer's head says."""

    status: int
    retry_after: str = ""
    """As sent; see ``wait``."""


@dataclass(frozen=True)
class Head:
    """An answer's head, and how its body ends."""

    answer: Answer
    length: int
    """Bytes of the body; -1: it is in chunks."""
    keeps: bool
    """Whether the connection may be used again after the body."""


def parse(data: bytes) -> Head:
    """The head that ``data`` is, its empty line included; raises ValueError for what is none."""
    first = _STATUS.match(data)
    if first is None:
        raise ValueError("no answer of HTTP/1.1")
    status = int(first[2])
    found: dict[bytes, bytes] = {}
    for written, value in _HEADER.findall(data):
        name = written.lower()
        if name in found and name != b"connection":
            raise ValueError("a header that is there twice")
        found[name] = value.lower() if name != b"retry-after" else value
    keeps = b"close" not in found.get(b"connection", b"") and first[1] == b"1"
    coding, length = found.get(b"transfer-encoding"), found.get(b"content-length")
    answer = Answer(status, found.get(b"retry-after", b"").decode("ascii", "replace"))
    if status < 200 or status in (204, 304):
        return Head(answer, 0, keeps)
    if coding is not None:
        return Head(answer, -1, keeps and coding == b"chunked" and length is None)
    if length is None:
        return Head(answer, 0, keeps=False)
    if not re.fullmatch(rb"[0-9]{1,18}", length):
        raise ValueError("a length that is none")
    return Head(answer, int(length), keeps and int(length) <= _LONGEST_BODY)


def wait(retry_after: str, now: float) -> float:
    """Seconds that the header Retry-After asks for, at most an hour; 0 where it says nothing that can be
    read. ``now`` is the wall clock."""
    if re.fullmatch(r"[0-9]{1,9}", retry_after):
        return min(float(retry_after), _LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(until - now, 0.0), _LONGEST_WAIT)


class Chunks:
    """Finds the end of a body in chunks."""

    def __init__(self) -> None:
        self._left = 0
        self._last = False

    def end(self, buffer: bytes) -> tuple[int, bool]:
        """How many bytes belong to the body, and whether it ended; raises ValueError for what is none."""
        at = 0
        while True:
            skipped = min(self._left, len(buffer) - at)
            at, self._left = at + skipped, self._left - skipped
            if self._left:
                return at, False
            stop = buffer.find(b"\r\n", at)
            if stop < 0:
                if len(buffer) - at > _LONGEST_HEAD:
                    raise ValueError("a chunk without an end")
                return at, False
            line, at = buffer[at : stop + 2], stop + 2
            if self._last:
                if line == b"\r\n":
                    return at, True
                continue
            size = _CHUNK.fullmatch(line)
            if size is None:
                raise ValueError("a chunk without a length")
            self._left = int(size[1], 16) + 2
            if self._left == 2:
                self._left, self._last = 0, True


class Exchange(Connection):
    """One connection."""

    def __init__(
        self,
        answered: Callable[["Exchange", Answer], None],
        free: Callable[["Exchange"], None],
        ended: Callable[["Exchange", str], None],
    ) -> None:
        """``answered`` is told each answer as soon as its head is there, ``free`` that the next request may
        follow, ``ended`` once that none may, with what was wrong. Closing it here tells nothing."""
        super().__init__()
        self.served = 0
        """Answers that came to their end."""
        self.heard = False
        """Whether anything came since the last request."""
        self._answered, self._free, self._ended = answered, free, ended
        self._buffer = b""
        self._asking = False
        self._held = b""
        self._head: Head | None = None
        self._left = 0
        self._read = 0
        self._chunks = Chunks()

    def ask(self, request: bytes, held: bytes = b"") -> None:
        """Send a request; the one before must have come to its end. ``held`` is the body behind a head with
        ``Expect: 100-continue``, not sent where the receiver refuses it by the head alone: it would end the
        connection amid the body, and its answer be lost with it."""
        self._asking, self.heard, self._held = True, False, held
        if held:
            self._loop.call_later(_PATIENCE, self._release)
        self._write(request)

    def _release(self) -> None:
        held, self._held = self._held, b""
        if held:
            self._write(held)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so, once."""
        self._end(f"the connection ended{f': {exc}' if exc else ''}")

    def data_received(self, data: bytes) -> None:
        """Take in a part of an answer."""
        if self._closed:
            return
        if not self._asking:
            self._end("the receiver answered what it was not asked")
            return
        self.heard = True
        self._buffer = self._buffer + data if self._buffer else data
        try:
            self._take()
        except ValueError:
            self._end("the receiver sent what is not HTTP/1.1")

    def _take(self) -> None:
        while self._asking and not self._closed:
            if self._head is None:
                if not self._take_head():
                    return
            elif self._take_body(self._head):
                self._finish(self._head)
            else:
                return

    def _take_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n") + 4
        if end < 4:
            if len(self._buffer) > _LONGEST_HEAD:
                raise ValueError("a head without an end")
            return False
        head = parse(self._buffer[:end])
        self._buffer = self._buffer[end:]
        if head.answer.status == 101:
            raise ValueError("another protocol")
        if head.answer.status == 100:
            self._release()
        if head.answer.status >= 200:
            if self._held:
                self._held, head = b"", replace(head, keeps=False)
            self._head, self._left, self._read = head, head.length, 0
            self._chunks = Chunks()
            self._answered(self, head.answer)
        return True

    def _take_body(self, head: Head) -> bool:
        if not head.keeps:
            return True
        if head.length >= 0:
            taken = min(self._left, len(self._buffer))
            self._left -= taken
            self._buffer = self._buffer[taken:]
            return self._left == 0
        taken, whole = self._chunks.end(self._buffer)
        self._buffer = self._buffer[taken:]
        self._read += taken
        if self._read > _LONGEST_BODY:
            raise ValueError("a body that is too long")
        return whole

    def _finish(self, head: Head) -> None:
        self._asking, self._head = False, None
        self.served += 1
        if not head.keeps or self._buffer:
            self._end("")
        elif not self._closed:
            self._free(self)

    def _end(self, reason: str) -> None:
        if not self._closed:
            self.close()
            self._ended(self, reason)
