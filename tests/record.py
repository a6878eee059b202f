"""The report file: what was measured, in Markdown, written as it comes."""

from collections.abc import Sequence
from pathlib import Path


class Record:
    """One file; each section is written when it is complete, so that a test that fails loses none."""

    def __init__(self, file: Path, heading: str) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# {heading}\n")

    def section(self, title: str, lines: Sequence[str]) -> None:
        """A heading and a list under it."""
        self._add([f"\n## {title}", "", *(f"- {line}" for line in lines)])

    def table(self, title: str, columns: Sequence[str]) -> None:
        """A heading and a table's head; ``row`` adds to it."""
        self._add([f"\n## {title}", "", _row(columns), _row(["---"] * len(columns))])

    def row(self, cells: Sequence[object]) -> None:
        """One more row of the last table."""
        self._add([_row(cells)])

    def _add(self, lines: Sequence[str]) -> None:
        with self._file.open("a") as file:
            file.write("\n".join(lines) + "\n")


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"
