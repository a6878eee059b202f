"""Collecting what is wrong, in words that hold no secret."""

import re
from dataclasses import dataclass, field
from difflib import get_close_matches

from agent.runtime.errors import Misconfigured, Problem

_USERINFO = re.compile(r"(?<=//)\S*@|^[^\s/@:]*:(?!//)\S*@")


@dataclass
class Report:
    """The problems of values that came from one source."""

    problems: list[Problem] = field(default_factory=list)
    source: str = ""
    secret: bool = False

    def of(self, source: str, *, secret: bool = False) -> "Report":
        """The same list of problems for values of another source."""
        return Report(self.problems, source, secret)

    def refuse(self, place: str, wrong: str, allowed: str = "") -> None:
        """Note that the value at ``place`` is wrong; ``wrong`` is a clause such as ``is too long``."""
        self.problems.append(Problem(place, wrong, allowed, self.source))

    def refuse_value(self, place: str, value: object, allowed: str) -> None:
        """Note that ``value`` is not what is allowed at ``place``; a secret value is not named."""
        self.refuse(
            place, "has a value that is not allowed" if self.secret else f"is {shown(value)}", allowed
        )

    def check(self) -> None:
        """Raise Misconfigured when anything is wrong."""
        if self.problems:
            raise Misconfigured(self.problems)


def masked(text: str) -> str:
    """``text`` with the user and password of a URL in it replaced."""
    return _USERINFO.sub("***@", text)


def shown(value: object) -> str:
    """A value as a message names it: short, a URL without credentials, the inside of lists and mappings left
    out."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(_short(masked(value))) if value else "empty"
    if isinstance(value, int | float):
        return _short(repr(value))
    return "a list" if isinstance(value, list | tuple) else "a mapping"


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def did_you_mean(name: str, known: list[str]) -> str:
    """``; did you mean X?`` for the known name most like ``name``; empty when none is like it."""
    found = get_close_matches(name, known, n=1, cutoff=0.7)
    return f"; did you mean {found[0]}?" if found else ""
