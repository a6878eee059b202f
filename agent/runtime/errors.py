"""The three kinds of failure. A driver's error is translated into one of them where the driver is called."""

from collections.abc import Sequence
from dataclasses import dataclass


class PillionError(Exception):
    """Base of all errors that Pillion raises itself; text is for an operator, without secrets or payloads."""


class Transient(PillionError):
    """The same call may succeed later: the server is away, busy or starting.

    ``delay`` is the least number of seconds to wait when the other side asked for one, else None.
    """

    def __init__(self, message: str, delay: float | None = None) -> None:
        super().__init__(message)
        self.delay = delay


class Permanent(PillionError):
    """The same call will fail again: the other side understood it and refused it."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in what an operator wrote."""

    key: str
    """The dotted setting, or ``FILE: place`` where no setting is concerned."""
    wrong: str
    """What is wrong, as a clause: ``is 'abc', not a number``."""
    allowed: str = ""
    """What is allowed, as a clause; empty where ``wrong`` already says it."""
    source: str = ""
    """Where the value came from: ``flag --x``, ``PILLION_X``, ``pillion.yaml``."""

    def __str__(self) -> str:
        where = f" (from {self.source})" if self.source else ""
        word = "give" if self.wrong.startswith(("is missing", "is not set")) else "allowed:"
        allowed = f"; {word} {self.allowed}" if self.allowed else ""
        return f"{self.key} {self.wrong}{where}{allowed}"


class Misconfigured(PillionError):
    """What an operator wrote can't work; carries all problems at once.

    ``odd`` is what is no problem by itself and may yet be the reason, such as a variable with a slip of the pen.
    """

    def __init__(self, problems: Sequence[Problem], odd: Sequence[Problem] = ()) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
        self.odd = tuple(odd)
