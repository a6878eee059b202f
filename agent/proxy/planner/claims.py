"""Which service gets which path of the gateway.

The longest prefix wins, then the service whose own name the path begins with, then the name that sorts first.
``gateway.routes`` keeps a prefix, with all below it, for one service.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.config.settings import Settings
from agent.model.catalog import Catalog
from agent.proxy.planner.names import VERSION_SLOT
from agent.proxy.planner.targets import Target, targets
from agent.proxy.planner.versioning import Entry
from agent.versions import parse

Pins = Mapping[str, Sequence[str]]
"""Service to the prefixes that belong to it; see ``gateway.routes``."""


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
    owners = {_plain(prefix): name for name, prefixes in pins.items() for prefix in prefixes}
    granted: list[Claim] = []
    refused: list[str] = []
    for claim in _claims(known):
        said, gets = _judge(claim, granted, owners)
        refused += said
        if gets:
            granted.append(claim)
    kept = [prefix for prefix, name in owners.items() if _strays(prefix, name, granted)]
    return Decision(tuple(granted), tuple(sorted(kept, key=rank)), tuple(refused))


def _judge(claim: Claim, granted: Sequence[Claim], owners: Mapping[str, str]) -> tuple[list[str], bool]:
    prefix, name = claim.entry.prefix, claim.name
    owner = _owner(prefix, owners)
    if owner not in (None, name):
        return [
            f"{name} asks for {prefix}, which belongs to {owner} (gateway.routes): it does not get it."
        ], False
    said = []
    for winner in granted:
        if winner.entry.prefix == prefix:
            return [f"Both {winner.name} and {name} ask for {prefix}: {winner.name} gets it."], False
        if winner.name != name and _meet(winner.entry.prefix, prefix):
            said.append(
                f"{winner.name} asks for {winner.entry.prefix} and {name} for {prefix}: what fits both, "
                f"{winner.name} gets."
            )
    return said, True


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


def _owner(prefix: str, owners: Mapping[str, str]) -> str | None:
    """The service to which a prefix belongs, by the longest one that covers it."""
    covering = [pin for pin in owners if covers(pin, prefix)]
    return owners[min(covering, key=rank)] if covering else None


def _strays(pin: str, owner: str, granted: Sequence[Claim]) -> bool:
    """Whether requests at a kept prefix would come to another service than its owner."""
    found = next((claim for claim in granted if covers(claim.entry.prefix, pin)), None)
    return found is not None and found.name != owner


def covers(upper: str, lower: str) -> bool:
    """Whether some path below ``lower`` is below ``upper`` too, which is not the longer one."""
    above, below = _segments(upper), _segments(lower)
    return len(above) <= len(below) and all(_fit(*pair) for pair in zip(above, below, strict=False))


def _meet(one: str, other: str) -> bool:
    """Whether two different prefixes of one depth have paths in common, since one has a version's slot."""
    return len(_segments(one)) == len(_segments(other)) and covers(one, other)


def _fit(one: str, other: str) -> bool:
    versions = re.compile(f"v{parse.ANY}")
    slots = [text for text in (one, other) if text == VERSION_SLOT]
    named = [text for text in (one, other) if text != VERSION_SLOT]
    return one == other or (bool(slots) and all(versions.fullmatch(text) for text in named))


def _segments(prefix: str) -> list[str]:
    return [] if prefix == "/" else prefix.split("/")[1:]


def _plain(prefix: str) -> str:
    return prefix.rstrip("/") or "/"
