"""Fenced blocks of Markdown."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]

_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[^\s`]*)")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    """Path of its page from the root of the checkout."""
    line: int
    """Of its opening fence, from 1."""
    language: str
    text: str
    """Without the fences and their indentation."""

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"{self.page}:{self.line}"

    @property
    def first(self) -> str:
        """Its first line."""
        return self.text.partition("\n")[0].strip()


def pages() -> tuple[Path, ...]:
    """The pages whose examples are held to what they say."""
    return (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


def blocks(found: Iterable[Path] | None = None) -> Iterator[Block]:
    """All blocks of the pages."""
    for page in pages() if found is None else found:
        yield from of_text(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))


def of_text(text: str, page: str) -> Iterator[Block]:
    """The blocks of one page. Raises ValueError for one that never ends."""
    opened: re.Match[str] | None = None
    start, inside = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if opened is None:
            opened, start, inside = _FENCE.match(line), number, []
        elif line.strip() == opened["fence"]:
            yield Block(page, start, opened["language"], "".join(f"{one}\n" for one in inside))
            opened = None
        else:
            inside.append(line.removeprefix(opened["indent"]))
    if opened is not None:
        raise ValueError(f"{page}:{start}: the block never ends")
