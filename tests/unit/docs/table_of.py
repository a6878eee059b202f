"""Tables of a page that a test holds against something: between two comments."""

from collections.abc import Iterator

from tests.unit.docs.blocks import ROOT

END = "<!-- end -->"


def rows(page: str, begin: str) -> Iterator[list[str]]:
    """The cells of each row but the head's, of the table behind the comment that begins so. Raises ValueError."""
    text = (ROOT / page).read_text(encoding="utf-8")
    _, found, after = text.partition(f"<!-- {begin}")
    if not found or END not in after:
        raise ValueError(f"{page} has no table behind <!-- {begin} … {END}")
    lines = [line for line in after.partition(END)[0].splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]
