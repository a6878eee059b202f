"""What Envoy's connection manager does with a path before any route sees it."""

import re

_ESCAPED_SLASH = re.compile(r"%(?:2[fF]|5[cC])")
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""What is as good without its escape (RFC 3986, 2.3)."""
_ESCAPES = {char: f"%{ord(char):02X}" for char in '"<>`{}^| '}


def has_escaped_slash(path: str) -> bool:
    """Whether the path, not its query, has ``%2F`` or ``%5C``."""
    return bool(_ESCAPED_SLASH.search(path.partition("?")[0]))


def unescaped_slashes(path: str) -> str:
    """``%2F`` and ``%5C`` of the path as what they stand for."""
    before, mark, query = path.partition("?")
    return _ESCAPED_SLASH.sub(lambda one: "/" if one[0].upper() == "%2F" else "\\", before) + mark + query


def merged(path: str) -> str:
    """Several slashes in a row as one (``merge_slashes``); the query stays."""
    before, mark, query = path.partition("?")
    return re.sub(r"/{2,}", "/", before) + mark + query


def is_refused(path: str) -> bool:
    """Whether ``normalize_path`` answers 400: the path holds a zero byte."""
    return "%00" in path.partition("?")[0]


def normalized(path: str) -> str:
    """``normalize_path``: backslashes become slashes, escapes that need none go, then dot segments (RFC 3986, 6.2.2).
    The query stays."""
    before, mark, query = path.partition("?")
    segments = [_segment(one) for one in before.replace("\\", "/").split("/")[1:]]
    kept: list[str] = []
    for position, segment in enumerate(segments):
        if segment not in (".", ".."):
            kept.append(segment)
            continue
        if segment == ".." and kept:
            kept.pop()
        if position == len(segments) - 1:
            kept.append("")
    return "/" + "/".join(kept) + mark + query


def _segment(raw: str) -> str:
    plain = _ESCAPED.sub(lambda one: char if (char := chr(int(one[1], 16))) in _PLAIN else one[0], raw)
    return "".join(_ESCAPES.get(char, char) for char in plain)
