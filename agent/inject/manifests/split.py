"""A stream of YAML as its documents, byte for byte: put together again they are the stream."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MARKER = re.compile(r"---(?=[ \t\r\n]|$)")
_END = re.compile(r"\.\.\.(?=[ \t\r\n]|$)")
_EMPTY = re.compile(r"[ \t]*(#.*)?\r?\n?")


@dataclass(frozen=True)
class Piece:
    """One document with what stands around it."""

    head: str
    """Comments and directives before the document, and the line ``---``."""
    body: str
    """The document itself; begins on the marker's own line where something stands there."""
    tail: str
    """Comments and empty lines behind it, and the line ``...``."""

    @property
    def text(self) -> str:
        """As it was given."""
        return self.head + self.body + self.tail


def split(stream: str) -> list[Piece]:
    """The documents of a stream; pieces without a document (comments only) are among them."""
    return [_piece(lines) for lines in _documents(stream.splitlines(keepends=True))]


def _documents(lines: list[str]) -> Iterator[list[str]]:
    """The lines of each document. A line that begins with ``---`` begins one, wherever it stands: YAML allows no
    such line inside a text."""
    current: list[str] = []
    begun = ended = False
    for line in _joined(lines):
        marker = bool(_MARKER.match(line))
        content = not marker and not _EMPTY.fullmatch(line) and not line.startswith("%")
        if (marker and begun) or (content and ended):
            yield current
            current, begun, ended = [], False, False
        current.append(line)
        begun = begun or marker or content
        ended = ended or bool(_END.match(line))
        if ended and line.startswith("%"):
            current.pop()
            yield current
            current, begun, ended = [line], False, False
    if current:
        yield current


def _joined(lines: list[str]) -> Iterator[str]:
    """Lines that end where YAML ends them: ``splitlines`` also ends them at other characters."""
    held = ""
    for line in lines:
        held += line
        if line.endswith(("\n", "\r")):
            yield held
            held = ""
    if held:
        yield held


def _piece(lines: list[str]) -> Piece:
    start = next((n for n, line in enumerate(lines) if not _is_around(line)), len(lines))
    end = len(lines)
    while end > start and (_EMPTY.fullmatch(lines[end - 1]) or _END.match(lines[end - 1])):
        end -= 1
    return Piece("".join(lines[:start]), "".join(lines[start:end]), "".join(lines[end:]))


def _is_around(line: str) -> bool:
    rest = _MARKER.sub("", line, count=1) if _MARKER.match(line) else line
    return line.startswith("%") or bool(_EMPTY.fullmatch(rest))
