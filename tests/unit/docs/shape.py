"""Whether what a command printed is what its page shows of it: the same lines with other figures."""

import difflib
import re
from collections.abc import Sequence
from itertools import islice

REST = "…"
"""Alone on a line: any lines may stand here. At the end of a line: anything may follow in it."""

LONGEST = 60
"""Lines of a difference that are told."""

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<![0-9a-z])(?=[a-f]*\d)[0-9a-f]{8,64}(?![0-9a-z])"
_FIGURE = r"(?<![A-Za-z0-9])[-+]?\d(?:[\d.,:]*\d)?(?:\s?(?:ns|us|µs|ms|min|kB|MB|KiB|MiB|GiB|s|m|h|d|%)(?![A-Za-z]))?"
_EITHER = re.compile(f"({_ID})|({_FIGURE})")


def wrong(shown: Sequence[str], printed: Sequence[str]) -> str:
    """What differs, as lines to read; empty where the page is right. Ids, figures with their units and the width of
    columns may be others; all lines must be shown, but where the page says that it leaves some out."""
    wanted = [line for line in shown if line.strip()]
    got = [line for line in printed if line.strip()]
    if _matches(wanted, got):
        return ""
    sides = [*map(plain, wanted)], [*map(plain, got)]
    return "\n".join(islice(difflib.unified_diff(*sides, "the page", "printed", lineterm=""), LONGEST))


def plain(line: str) -> str:
    """The line without what may be another each time."""
    return " ".join(_EITHER.sub(lambda found: "ID" if found[1] else "0", line).split())


def _matches(wanted: Sequence[str], got: Sequence[str]) -> bool:
    if not wanted:
        return not got
    if wanted[0].strip() == REST:
        return any(_matches(wanted[1:], got[skipped:]) for skipped in range(len(got) + 1))
    return bool(got) and _alike(wanted[0], got[0]) and _matches(wanted[1:], got[1:])


def _alike(shown: str, printed: str) -> bool:
    mine, others = plain(shown), plain(printed)
    if mine.endswith(REST):
        return others.startswith(mine.removesuffix(REST).rstrip())
    return mine == others
