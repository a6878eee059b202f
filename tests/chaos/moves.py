"""The judge of positions: two relays never both move a bucket's. Pure.

What it judges is a log that a trigger of the rig keeps within the database, so it shows what was committed, by which
session, whatever the relays believe.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A bucket's row."""

    owner: str | None
    epoch: int
    base: str
    """As PostgreSQL writes a snapshot."""
    target: str | None
    pos: int

    @property
    def position(self) -> tuple[str, str | None, int]:
        """What only the owner may move."""
        return self.base, self.target, self.pos


@dataclass(frozen=True)
class Move:
    """One update of a bucket's row."""

    session: str
    """Which connection made it."""
    relay: bool
    """It was a relay's; False: the rig's or a command's."""
    feed: str
    bucket: int
    before: Place
    after: Place


@dataclass(frozen=True)
class Moved:
    """What was found."""

    saves: int
    claims: int
    owners: int
    """Different owners that moved a position."""
    problems: list[str]


def check(moves: Iterable[Move], beats: Mapping[str, set[str]]) -> Moved:
    """Judge the updates in the order in which they were made; ``beats`` tells as whom each session has beaten.

    Not every session of a relay beats or claims: whom else it acts for by what it saves and gives up must be one and
    the same.
    """
    lines: dict[tuple[str, int], list[Move]] = defaultdict(list)
    names: dict[str, set[str]] = defaultdict(set, {session: set(ids) for session, ids in beats.items()})
    saves = claims = 0
    owners = set()
    for each in moves:
        lines[each.feed, each.bucket].append(each)
        if acting := _acting(each):
            names[each.session].add(acting)
        if _is_save(each):
            saves += 1
            owners.add(each.before.owner)
        claims += each.relay and each.after.epoch > each.before.epoch
    problems = [f"one session acted as {sorted(ids)}" for ids in names.values() if len(ids) > 1]
    for (feed, bucket), line in lines.items():
        where = f"bucket {bucket} of {feed}"
        for former, each in zip([None, *line], line, strict=False):
            problems += [f"{where}: {problem}" for problem in _wrong(former, each)]
    return Moved(saves, claims, len(owners), problems)


def _acting(move: Move) -> str | None:
    """For whom the update was made."""
    if not move.relay:
        return None
    return move.after.owner or move.before.owner


def _is_save(move: Move) -> bool:
    return move.relay and move.before.position != move.after.position


def _wrong(former: Move | None, move: Move) -> list[str]:
    before, after = move.before, move.after
    found = []
    if former is not None and former.after != before:
        found.append(f"was {former.after} and then {before}")
    if after.epoch < before.epoch:
        found.append(f"its epoch fell from {before.epoch} to {after.epoch}")
    if after.owner != before.owner and after.owner is not None and after.epoch <= before.epoch:
        found.append(f"went from {before.owner} to {after.owner} within epoch {after.epoch}")
    if not move.relay:
        return found
    if before.position != after.position:
        found += _saved_wrong(move)
    return found


def _saved_wrong(move: Move) -> list[str]:
    before, after = move.before, move.after
    found = []
    if before.owner is None:
        found.append(f"was moved though nobody owned it, to {after.position}")
    # It may be given up with the last save.
    if after.owner is not None and (before.owner, before.epoch) != (after.owner, after.epoch):
        found.append(f"was moved by a claim, from {before} to {after}")
    if _newest(after.base) < _newest(before.base):
        found.append(f"went back from {before.position} to {after.position}")
    if after.base == before.base and before.target is not None:
        if after.target != before.target:
            found.append(f"left a tick half read, from {before.position} to {after.position}")
        elif after.pos < before.pos:
            found.append(f"went back from {before.position} to {after.position}")
    return found


def _newest(snapshot: str) -> int:
    return int(snapshot.split(":")[1])
