"""The random values themselves, one file each in a folder that only root of two one-shot containers sees."""

import os
import secrets
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

Make = Callable[[], str]


class UnknownError(ValueError):
    """There is no such secret."""


def password() -> str:
    """192 bits in letters that neither a URL nor a password file has to escape."""
    return secrets.token_urlsafe(24).replace("-", "A").replace("_", "B")


def token() -> str:
    """What Consul takes as a token's secret: a random UUID."""
    return str(uuid.uuid4())


class Values:
    """The secrets by name; ``kinds`` says which there are and how one is made."""

    def __init__(self, folder: Path, kinds: Mapping[str, Make]) -> None:
        self._folder = folder
        self._kinds = kinds

    def complete(self) -> None:
        """Make those that are missing; one that exists is never touched."""
        for name, make in self._kinds.items():
            if not self._file(name).exists():
                replace(self._file(name), make(), 0, 0)

    def read(self, name: str) -> str:
        """The value. Raises UnknownError, OSError."""
        return self._file(name).read_text().strip()

    def next(self, name: str) -> str:
        """The value that will follow: kept, so that a rotation cut short can be repeated with the same."""
        file = self._next(name)
        if not file.exists():
            replace(file, self._kinds[name](), 0, 0)
        return file.read_text().strip()

    def adopt(self, name: str) -> None:
        """Make the next value the value."""
        self._next(name).replace(self._file(name))

    def _file(self, name: str) -> Path:
        if name not in self._kinds:
            raise UnknownError(f"there is no secret {name!r}; there are {', '.join(self._kinds)}")
        return self._folder / name

    def _next(self, name: str) -> Path:
        return self._folder / f"{self._file(name).name}.next"


def replace(file: Path, text: str, user: int, group: int) -> bool:
    """Have the file hold the text, owned by the user, readable by nobody else; whether that was a change."""
    if file.exists() and file.read_text() == text + "\n":
        return False
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as out:  # noqa: PTH123 - a descriptor, not a path
        out.write(text + "\n")
        out.flush()
        os.fsync(descriptor)
    os.chown(beside, user, group)
    beside.replace(file)
    return True
