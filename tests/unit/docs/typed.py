"""What a console block shows: commands as they are typed, and what they print."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tests.unit.docs.blocks import Block

PROMPT = "$ "


@dataclass(frozen=True)
class Typed:
    """One command of a console block."""

    page: str
    line: int
    """Of the command, from 1."""
    text: str
    """What is typed: several lines that end with a backslash are one."""
    shown: tuple[str, ...] = ()
    """The lines that the page shows as its output; none: it shows nothing of it."""

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"{self.page}:{self.line}"


def of(block: Block) -> Iterator[Typed]:
    """The commands of a console block in their order; nothing for another block."""
    if block.language != "console":
        return
    found: Typed | None = None
    lines = iter(enumerate(block.text.splitlines(), block.line + 1))
    for number, line in lines:
        if line.startswith(PROMPT):
            if found is not None:
                yield found
            text = line.removeprefix(PROMPT)
            while text.endswith("\\"):
                text = text[:-1] + next(lines, (0, ""))[1].strip().removeprefix("> ")
            found = Typed(block.page, number, text)
        elif found is not None:
            found = replace(found, shown=(*found.shown, line))
    if found is not None:
        yield found


def all_of(blocks: Iterable[Block]) -> Iterator[Typed]:
    """The commands of all blocks."""
    for block in blocks:
        yield from of(block)
