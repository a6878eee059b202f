"""Which of the offered versions a request gets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.model.version import Deprecation, Offer, Version
from agent.versions.parse import HIGHEST

MOST = 32
"""Versions of one service that are routed; beyond it the oldest are left out, so that no catalogue can blow
up the routes."""


@dataclass(frozen=True)
class Span:
    """The names that get one offered version: ``vMAJOR.low`` to ``vMAJOR.high``, and ``vMAJOR`` where
    ``bare``."""

    version: Version
    low: int
    high: int
    bare: bool

    def covers(self, named: Version) -> bool:
        """Whether a request that names this gets the span's version."""
        if named.major != self.version.major:
            return False
        return self.bare if named.minor < 0 else self.low <= named.minor <= self.high


@dataclass(frozen=True)
class Table:
    """What all instances of a service offer together."""

    versions: tuple[Version, ...]
    """Ascending, at least one."""
    default: Version | None = None
    deprecated: Mapping[Version, Deprecation] = field(default_factory=dict)

    @property
    def newest(self) -> Version:
        """The highest offered version."""
        return self.versions[-1]

    @property
    def unnamed(self) -> Version:
        """What a request gets that names none: the default, else the newest."""
        return self.default or self.newest

    @property
    def spans(self) -> tuple[Span, ...]:
        """Newest first. ``v2`` is the newest v2.x; ``v2.1`` is itself, else the lowest v2.y with y > 1.

        A bare ``v2`` on offer stands for ``v2.0``.
        """
        spans: list[Span] = []
        for position, version in enumerate(self.versions):
            before = self.versions[position - 1] if position else None
            after = self.versions[position + 1] if position + 1 < len(self.versions) else None
            low = max(before.minor, 0) + 1 if before and before.major == version.major else 0
            bare = after is None or after.major != version.major
            if after is not None and version.minor < 0 and after == Version(version.major, 0):
                low = 1  # v2.0 itself is offered beside v2 and is the exact answer
            elif before == Version(version.major, -1) and version.minor == 0:
                low = 0
            spans.append(Span(version, low, max(version.minor, 0), bare))
        return tuple(reversed(spans))

    def resolve(self, named: Version | None) -> Version | None:
        """The version that a request gets; None when nothing fits what it names."""
        if named is None:
            return self.unnamed
        return next((span.version for span in self.spans if span.covers(named)), None)


def table(offers: Iterable[Offer]) -> Table | None:
    """The offers of all instances together; None when none of them declares a version.

    Where instances disagree on the default, the lowest wins that is served: a new default takes effect when
    the last old instance is gone. An offer's unusable versions (numbers beyond four digits) are left out.
    """
    offers = tuple(offers)
    served = sorted({version for offer in offers for version in offer.serves if _usable(version)})[-MOST:]
    if not served:
        return None
    defaults = sorted(found for offer in offers if (found := _served(offer.default, served)) is not None)
    deprecated: dict[Version, Deprecation] = {}
    for offer in offers:
        for version, deprecation in sorted(offer.deprecated.items()):
            if version in served:
                deprecated.setdefault(version, deprecation)
    return Table(tuple(served), defaults[0] if defaults else None, deprecated)


def _served(version: Version | None, served: list[Version]) -> Version | None:
    """The offered version that a default means: ``v2`` may stand for the newest v2.x, as in a request."""
    return None if version is None else Table(tuple(served)).resolve(version)


def _usable(version: Version) -> bool:
    return 0 <= version.major <= HIGHEST and -1 <= version.minor <= HIGHEST
