"""Which service gets which path of the gateway.

The longest prefix wins, then the service whose own name the path begins with, then the name that sorts first.
``gateway.routes`` keeps a prefix, with all below it, for one service.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.proxy.planner.names import VERSION_SLOT
from agent.proxy.planner.targets import Target, targets
from agent.proxy.planner.versioning import Entry
from agent.versions import parse

Pins = Mapping[str, Sequence[str]]
"""Service to the prefixes that belong to it; see ``gateway.routes``."""
_VERSION = re.compile(f"v{parse.ANY}")


@dataclass(frozen=True)
class Claim:
    """A path prefix that a service asks for."""

    entry: Entry
    target: Target

    @property
    def name(self) -> str:
        """The service that asks."""
        return self.target.name


@dataclass(frozen=True)
class Decision:
    """Who gets what."""

    granted: tuple[Claim, ...]
    """In the order in which they are to be matched."""
    kept: tuple[str, ...]
    """Prefixes that belong to a service which does not ask for them: nobody gets them."""
    refused: tuple[str, ...]
    """A sentence for each claim that is not met, or not wholly."""


def conflicts(catalog: Catalog, settings: Settings | None = None) -> tuple[str, ...]:
    """A sentence for each path prefix that a service asks for and does not get, or not all of it.

    Without ``settings`` no prefix is kept for anybody.
    """
    return decide(targets(catalog), settings.gateway.routes if settings else {}).refused


def decide(known: Iterable[Target], pins: Pins) -> Decision:
    """Who gets what of that which the services ask for."""
    owners, granted = _Places(), _Places()
    for name, prefixes in pins.items():
        for prefix in prefixes:
            owners.add(_plain(prefix), name)
    won: list[Claim] = []
    refused: list[str] = []
    for claim in _claims(known):
        said, gets = _judge(claim, granted, owners)
        refused += said
        if gets:
            won.append(claim)
            granted.add(claim.entry.prefix, claim.name)
    kept = [prefix for prefix, name in owners if granted.owner(prefix) not in (None, name)]
    return Decision(tuple(won), tuple(sorted(kept, key=rank)), tuple(refused))


def _judge(claim: Claim, granted: "_Places", owners: "_Places") -> tuple[list[str], bool]:
    prefix, name = claim.entry.prefix, claim.name
    owner = owners.owner(prefix)
    if owner not in (None, name):
        return [
            f"{name} asks for {prefix}, which belongs to {owner} (gateway.routes): it does not get it."
        ], False
    said = []
    for other, winner in granted.beside(prefix):
        if other == prefix:
            return [f"Both {winner} and {name} ask for {prefix}: {winner} gets it."], False
        if winner != name:
            said.append(f"{winner} asks for {other} and {name} for {prefix}: what fits both, {winner} gets.")
    return said, True


class _Places:
    """Prefixes with the services that have them, found without looking at each: there may be thousands."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], list[tuple[str, str]]] = {}

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return (place for places in self._found.values() for place in places)

    def add(self, prefix: str, name: str) -> None:
        """Note who has a prefix."""
        self._found.setdefault(_shape(_segments(prefix)), []).append((prefix, name))

    def beside(self, prefix: str) -> list[tuple[str, str]]:
        """Those of the same depth that have paths in common with the prefix."""
        return [place for place in self._found.get(_shape(_segments(prefix)), ()) if covers(place[0], prefix)]

    def owner(self, prefix: str) -> str | None:
        """The service that has the longest prefix which covers this one; None where there is none."""
        segments = _segments(prefix)
        near = (self._found.get(_shape(segments[:depth]), ()) for depth in range(len(segments) + 1))
        covering = [place for places in near for place in places if covers(place[0], prefix)]
        return min(covering, key=lambda place: rank(place[0]))[1] if covering else None


def _shape(segments: Sequence[str]) -> tuple[str, ...]:
    """The same for all prefixes that differ in versions only."""
    return tuple(VERSION_SLOT if _VERSION.fullmatch(one) else one for one in segments)


def _claims(known: Iterable[Target]) -> list[Claim]:
    """All claims, the strongest first."""
    found = [Claim(entry, target) for target in known for entry in _entries(target)]
    return sorted(found, key=lambda one: (*rank(one.entry.prefix), not _is_own(one), one.name))


def _entries(target: Target) -> list[Entry]:
    if not target.routes:
        return [Entry(f"/{target.name}", stripped=True)]
    return [Entry(prefix) for prefix in target.routes]


def _is_own(claim: Claim) -> bool:
    return claim.entry.prefix.split("/")[1] == claim.name


def rank(prefix: str) -> tuple[int, str]:
    """By which prefixes are tried: the longest first."""
    return -len(prefix.replace(VERSION_SLOT, "v1")), prefix


def covers(upper: str, lower: str) -> bool:
    """Whether some path below ``lower`` is below ``upper`` too, which is not the longer one."""
    above, below = _segments(upper), _segments(lower)
    return len(above) <= len(below) and all(_fit(*pair) for pair in zip(above, below, strict=False))


def _fit(one: str, other: str) -> bool:
    if one == other:
        return True
    return VERSION_SLOT in (one, other) and bool(_VERSION.fullmatch(one) or _VERSION.fullmatch(other))


def _segments(prefix: str) -> list[str]:
    return [] if prefix == "/" else prefix.split("/")[1:]


def _plain(prefix: str) -> str:
    return prefix.rstrip("/") or "/"
