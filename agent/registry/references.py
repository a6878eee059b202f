"""Values that do not hold a secret but say where it is: ``file:/PATH`` and ``env:NAME``."""

import os
import re
import stat
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from agent.config.secret import SETTLED, State, state_of
from agent.registry import environment

MOST = 200
"""Files that are followed at once; each is looked at every second."""
_FILE = re.compile(r"file:(/(?!/)[^\0\n]{0,4000})")
_VARIABLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]{0,200})")


class References:
    """What values stand for. Whoever may write into KV chooses the reference, the operator what it can reach.

    A file counts if it is below one of the folders, as it is written and with all links followed, and is none of the
    agent's own. A change is found when somebody asks, by the file's state, as ``config.secret`` does: a replacement
    by rename, the switch of a link above it, a rewrite in place. What is no value leaves the last good one in use.
    """

    def __init__(
        self,
        folders: Iterable[str] = (),
        variables: Mapping[str, str] | None = None,
        own: Collection[str] = (),
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``variables`` are those that values may stand for; ``own`` names the agent's files and folders.

        Without folders and variables there are no references: each value is its own text. ``now`` is the wall clock.
        """
        self._folders = tuple(Path(folder) for folder in folders)
        self._variables = {} if variables is None else variables
        self._on = bool(self._folders) or variables is not None
        self._own = tuple(Path(one) for one in own)
        self._now = now
        self._files: dict[str, _File] = {}

    def text(self, value: str) -> str:
        """What the value stands for: itself, mostly. Raises ValueError with a clause, never with a secret."""
        if not self._on:
            return value
        written = value.removesuffix("\n")
        if found := _VARIABLE.fullmatch(written):
            if found[1] not in self._variables:
                raise ValueError(
                    f"refers to the variable {found[1]}, which is not set or not among store.secret_variables"
                )
            return self._variables[found[1]]
        if found := _FILE.fullmatch(written):
            return self._file(found[1]).read()
        return value

    def is_secret(self, value: str) -> bool:
        """Whether the value is a reference."""
        written = value.removesuffix("\n")
        return self._on and bool(_FILE.fullmatch(written) or _VARIABLE.fullmatch(written))

    def keep(self, values: Collection[str]) -> tuple[str, ...]:
        """Follow the files of these values only; why the last good content of some is in use, as sentences."""
        wanted = {value.removesuffix("\n").removeprefix("file:") for value in values}
        self._files = {path: file for path, file in self._files.items() if path in wanted}
        return tuple(f"{path} {file.problem}" for path, file in sorted(self._files.items()) if file.problem)

    @property
    def follows(self) -> bool:
        """Whether a file may change."""
        return bool(self._files)

    def _file(self, path: str) -> "_File":
        self._permit(path)
        if path not in self._files:
            if len(self._files) >= MOST:
                raise ValueError(f"refers to one file more than the {MOST} that are followed")
            self._files[path] = _File(Path(path), self._now)
        return self._files[path]

    def _permit(self, path: str) -> None:
        """Raise ValueError unless the operator lets values reach this file."""
        # As it is written first: nobody is to learn of other files whether they exist.
        written = Path(path)
        if os.path.normpath(path) != path:
            # By text "LINK/.." is where LINK is, for the kernel it is above the place that LINK leads to.
            raise ValueError(f"refers to {path[:200]}, which is not written plainly, without .. and the like")
        if not any(written.is_relative_to(folder) for folder in self._folders):
            raise ValueError(f"refers to {path[:200]}, which is below none of store.secret_dirs")
        real = written.resolve()
        if not any(real.is_relative_to(folder.resolve()) for folder in self._folders):
            raise ValueError(f"refers to {path[:200]}, a link that leads out of store.secret_dirs")
        if any(real.is_relative_to(one.resolve()) for one in self._own):
            raise ValueError(f"refers to {path[:200]}, which is the agent's own")


class _File:
    """One file's content, the last good one where the present is none."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path = path
        self._now = now
        self._good: str | None = None
        self._seen: State | None = None
        self.problem = ""

    def read(self) -> str:
        """The newest good content. Raises ValueError with a clause when there never was one."""
        try:
            state = state_of(self._path)
            if state != self._seen:
                self._take(_content(self._path), state)
        except OSError as error:
            self._keep(f"can't be read: {error.strerror or type(error).__name__}")
        except ValueError as error:
            self._keep(str(error))
        if self._good is None:
            raise ValueError(f"refers to {self._path}, which {self.problem}")
        return self._good

    def _take(self, content: str, state: State) -> None:
        # One that is written in place is half of itself first; at the start there is nothing better.
        moving = state_of(self._path) != state or 0 <= self._now() - state[-1] / 1e9 < SETTLED
        if moving and self._good is not None:
            return
        self._seen, self.problem, self._good = None if moving else state, "", content

    def _keep(self, wrong: str) -> None:
        kept = "" if self._good is None else "; what it held last stays in use"
        self._seen, self.problem = None, f"{wrong}{kept}"


def _content(path: Path) -> str:
    """The text of a file without the line end at its end. Raises OSError, and ValueError with a clause."""
    # Without waiting: a pipe that takes the name must not hold the agent up.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is no file")
        data = file.read(environment.LONGEST + 1)
    if len(data) > environment.LONGEST:
        raise ValueError(f"is longer than {environment.LONGEST} bytes")
    text = environment.text_of(data).removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError("is empty")
    return text
