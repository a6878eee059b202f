"""Links between pages, and the headings that they lead to."""

import re
from collections.abc import Iterator
from pathlib import Path

_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_INLINE = re.compile(r"`(pillion [^`\n]+)`")
_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ +(.*?)\s*$", re.MULTILINE)


def of(page: Path) -> Iterator[str]:
    """The targets of a page's links that lead to files of the checkout."""
    for found in _LINK.finditer(_text(page)):
        if "://" not in found["target"] and not found["target"].startswith("mailto:"):
            yield found["target"]


def inline_commands(page: Path) -> Iterator[str]:
    """What stands between backquotes in a sentence and begins with ``pillion``."""
    yield from _INLINE.findall(_text(page))


def anchors(page: Path) -> frozenset[str]:
    """The names that GitHub gives to the page's headings."""
    return frozenset(map(anchor, _HEADING.findall(_text(page))))


def anchor(heading: str) -> str:
    """As GitHub makes it: lower case, spaces to hyphens, and neither links nor marks of punctuation."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def _text(page: Path) -> str:
    return _FENCED.sub("", page.read_text(encoding="utf-8"))
