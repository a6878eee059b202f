"""A secret while the agent runs: read again when the file that holds it changed."""

import re
import time
from collections.abc import Callable
from pathlib import Path

from agent.config.declare import Section
from agent.config.disk import Disk, LocalDisk
from agent.config.values import CONTROL
from agent.runtime.errors import Transient

SETTLED = 0.2
"""Seconds for which a file must have stood still before what it holds replaces a good value: one that is
written in place is empty first and then half of itself."""

State = tuple[int, int, int, int]
"""What tells whether a file changed, also one that a link leads to or that was replaced."""


class Secret:
    """One secret setting. Its value appears in what ``read`` returns only, never in a text.

    A change is found when somebody reads, by the file's state: a replacement by rename, the switch of a link
    above it as Kubernetes makes it, and a rewrite in place. Whatever is not a value (nothing, no file, an
    empty first line) leaves the last good one in use, and ``problem`` says so.
    """

    def __init__(
        self,
        key: str,
        value: str,
        file: str = "",
        *,
        disk: Disk | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``key`` is the setting's, for texts; ``value`` as it was at start; ``file`` empty: it stays so.

        ``now`` is the wall clock in seconds.
        """
        self.key = key
        self.version = int(bool(value))
        """Rises by one with each other value; 0 is none."""
        self.problem = ""
        """Why the file's present content is not in use; empty when it is."""
        self._value = value
        self._file = Path(file) if file else None
        self._disk = disk or LocalDisk()
        self._now = now
        self._seen: State | None = None

    @classmethod
    def of(cls, section: Section, key: str) -> "Secret":
        """The secret ``key``, dotted, whose last part is its name in ``section``."""
        name = key.rpartition(".")[2]
        return cls(key, getattr(section, name).strip(), getattr(section, f"{name}_file"))

    def __repr__(self) -> str:
        return f"Secret({self.key!r})"

    @property
    def from_file(self) -> bool:
        """Whether it can change at all."""
        return self._file is not None

    def read(self) -> str:
        """The newest good value, empty when the setting is not given.

        Raises Transient where the setting names a file that never held one: not to be taken for none.
        """
        if self._file is not None:
            self._look(self._file)
            if not self._value:
                raise Transient(self.problem)
        return self._value

    def _look(self, file: Path) -> None:
        try:
            state = state_of(file)
            if state == self._seen:
                return
            value = first_line(self._disk.read(file))
            still = state_of(file) == state and not 0 <= self._now() - state[-1] / 1e9 < SETTLED
        except OSError as error:
            self._keep(file, f"can't be read: {error.strerror or type(error).__name__}")
        except ValueError as error:
            self._keep(file, str(error))
        else:
            self._take(value, state if still else None)

    def _take(self, value: str, state: State | None) -> None:
        if state is None and self._value:
            return
        self._seen, self.problem = state, ""
        if value != self._value:
            self._value = value
            self.version += 1

    def _keep(self, file: Path, wrong: str) -> None:
        kept = "; the last good value stays in use" if self._value else ""
        self._seen, self.problem = None, f"{self.key}_file names {file}, which {wrong}{kept}"


def first_line(text: str) -> str:
    """The value that a file of this text holds; raises ValueError, without the text, when there is none."""
    lines = text.splitlines()
    value = lines[0].strip() if lines else ""
    if not value:
        raise ValueError("has an empty first line")
    if re.search(CONTROL, value):
        raise ValueError("holds a control character")
    return value


def state_of(file: Path) -> State:
    """The state of a file, or of that to which a link leads. Raises OSError."""
    # Its last part can't be set by anybody: an older file that takes the name is new all the same.
    found = file.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
