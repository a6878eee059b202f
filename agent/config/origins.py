"""Where a value came from."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """Where a value came from."""

    kind: str
    """``flag``, ``environment``, ``file`` or ``default``."""
    name: str = ""
    """The flag, the variable, the file."""

    def __str__(self) -> str:
        return {"flag": f"flag {self.name}", "default": "default"}.get(self.kind, self.name)


DEFAULT = Origin("default")


@dataclass(frozen=True)
class Given:
    """A value that somebody gave, as plain data that was read by its shape."""

    value: object
    origin: Origin


Layer = Mapping[str, Given]
"""The values that one kind of source gives, by dotted key."""
