"""Which partitions an instance should have. Pure; no clock of the database or of another host is compared."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Place:
    """One partition of one topic."""

    topic: str
    """As in the settings."""
    partition: int
    path: str = field(default="", compare=False)
    """Where its messages are posted to."""
    partitions: int = field(default=1, compare=False)

    @property
    def name(self) -> str:
        """The broker's topic."""
        return self.topic if self.partitions == 1 else f"{self.topic}.{self.partition}"


@dataclass(frozen=True)
class View:
    """What the database shows."""

    beats: Mapping[str, int]
    """Of every instance of the consumer."""
    owners: Mapping[Place, str]
    """Of the partitions that have one."""


class Pulse:
    """What an instance remembers of the others' beats."""

    def __init__(self, lease: float, clock: Callable[[], float], former: Callable[[str], bool]) -> None:
        """``former`` tells an owner that is surely dead, such as this agent's own former process."""
        self._lease = lease
        self._clock = clock
        self._former = former
        self._seen: dict[str, tuple[int, float]] = {}

    def alive(self, beats: Mapping[str, int]) -> frozenset[str]:
        """Who may not be taken for dead."""
        now = self._clock()
        self._seen = {name: seen for name, seen in self._seen.items() if name in beats}
        for name, beat in beats.items():
            if name not in self._seen or self._seen[name][0] != beat:
                self._seen[name] = (beat, now)
        return frozenset(
            name for name in beats if not self._former(name) and now - self._seen[name][1] < self._lease
        )


def share(
    me: str, places: Sequence[Place], owners: Mapping[Place, str], alive: Collection[str]
) -> tuple[list[Place], list[Place]]:
    """What to claim and what to give up. ``alive`` holds the instances that live, this one too."""
    living = {*alive, me}
    fair = math.ceil(len(places) / len(living))
    mine = [place for place in places if owners.get(place) == me]
    free = [place for place in places if owners.get(place) not in living]
    if len(mine) < fair:
        return free[: fair - len(mine)], []
    held = {name: sum(owners.get(place) == name for place in places) for name in living}
    hungry = min(held.values()) < len(places) // len(living)
    surplus = len(mine) - (fair if len(mine) > fair else len(places) // len(living))
    return [], mine[-surplus:] if hungry and not free and surplus > 0 else []
