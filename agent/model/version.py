"""API versions as values: what a service says that it serves."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_FORM = re.compile(r"v?(0|[1-9][0-9]{0,3})(?:\.(0|[1-9][0-9]{0,3}))?")


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """``v2`` or ``v2.1``. Ordered; ``v2`` sorts as ``v2.0``'s predecessor."""

    major: int
    minor: int = -1
    """-1 where the text names no minor."""

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Read ``v2``, ``2``, ``v2.1`` or ``2.1``; raises ValueError for anything else."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a version such as v2 or v2.1")
        return cls(int(match[1]), int(match[2]) if match[2] is not None else -1)

    def __str__(self) -> str:
        return f"v{self.major}" if self.minor < 0 else f"v{self.major}.{self.minor}"


@dataclass(frozen=True, slots=True)
class Deprecation:
    """When a version was deprecated and when it goes away; both as seconds since the epoch, None where unsaid."""

    since: int | None = None
    sunset: int | None = None
    link: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """The versions that an instance serves. An empty ``serves`` means: not versioned, leave its paths alone."""

    serves: tuple[Version, ...] = ()
    """Ascending, without repetition."""
    default: Version | None = None
    """Served to a request that names none; None means the newest."""
    deprecated: Mapping[Version, Deprecation] = field(default_factory=dict)
    strip_prefix: bool = False
    """Remove ``/api/vN`` before the service sees the path."""


UNVERSIONED = Offer()
"""What an instance offers that declares no version."""
