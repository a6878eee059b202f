"""The judge: what the writers and the database say was committed against what the broker has. Pure.

Every change has a token of its own, because after a crash that took asynchronous commits back the same key
gets the same version a second time, for another change.
"""

import enum
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


class Outcome(enum.Enum):
    """What a writer knows about its transaction."""

    COMMITTED = "committed"
    """The commit was answered and waited for the disk: it must be there whatever happened."""
    MAYBE = "maybe"
    """The commit was answered without waiting for the disk, or was not answered: either is right."""
    UNDONE = "undone"
    """It was rolled back, or never asked to commit: it must not be there."""


@dataclass(frozen=True)
class Change:
    """One change of one key."""

    key: str
    version: int
    """Rises by the order in which the key's row was locked; versions of what is committed are unique in a key."""


@dataclass(frozen=True)
class Seen:
    """One message as the consumer saw it, in its order."""

    token: str
    change: Change
    event: str
    """The event's id."""
    at: float
    """Seconds, by the clock of ``Fault``."""


@dataclass(frozen=True)
class Fault:
    """A time within which something was broken, in seconds; its effect may last a little longer."""

    begin: float
    end: float


@dataclass
class Verdict:
    """What was found; every list is empty when all is well, and holds sentences otherwise."""

    unkept: list[str] = field(default_factory=list)
    """The database does not hold what it confirmed, or holds what was rolled back: the rig is wrong."""
    lost: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    """Published though it was never committed, or was taken back by a crash."""
    altered: list[str] = field(default_factory=list)
    inverted: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)
    """Two ids for one change, or one id for two."""
    needless: list[str] = field(default_factory=list)
    """Copies that no fault accounts for."""
    changes: int = 0
    messages: int = 0
    duplicates: int = 0
    vanished: int = 0
    """Changes whose commit was answered or asked for, and that a crash took back."""

    @property
    def problems(self) -> list[str]:
        """All that is wrong."""
        return [
            *self.unkept, *self.lost, *self.phantom, *self.altered, *self.inverted, *self.renamed, *self.needless,
        ]  # fmt: skip

    def __str__(self) -> str:
        return (
            f"{self.changes} changes, {self.messages} messages, lost {len(self.lost)}, phantom {len(self.phantom)}, "
            f"altered {len(self.altered)}, inverted {len(self.inverted)}, renamed {len(self.renamed)}, "
            f"duplicates {self.duplicates} (needless {len(self.needless)}), taken back by crashes {self.vanished}, "
            f"unkept {len(self.unkept)}"
        )


def check(
    book: Mapping[str, Outcome],
    journal: Mapping[str, Change],
    seen: Sequence[Seen],
    faults: Iterable[Fault] = (),
    window: float = 0.0,
) -> Verdict:
    """Judge one feed.

    ``book`` is what the writers know of each token, ``journal`` what the database holds in the end, in a table
    that the relay never sees. A copy is accounted for by a fault that was there within ``window`` seconds
    after the copy before it: so long may a position stay unsaved.
    """
    verdict = Verdict(changes=len(journal), messages=len(seen))
    _kept(verdict, book, journal)
    _complete(verdict, journal, seen)
    _ordered(verdict, seen)
    _named(verdict, seen)
    _duplicates(verdict, seen, list(faults), window)
    return verdict


def _kept(verdict: Verdict, book: Mapping[str, Outcome], journal: Mapping[str, Change]) -> None:
    for token, outcome in book.items():
        if outcome is Outcome.COMMITTED and token not in journal:
            verdict.unkept.append(f"{token} was confirmed and is not in the database")
        if outcome is Outcome.UNDONE and token in journal:
            verdict.unkept.append(f"{token} was rolled back and is in the database")
        verdict.vanished += outcome is Outcome.MAYBE and token not in journal
    verdict.unkept += [f"{token} is in no writer's book" for token in journal if token not in book]
    versions = Counter(journal.values())
    verdict.unkept += [f"{change} was committed {n} times" for change, n in versions.items() if n > 1]


def _complete(verdict: Verdict, journal: Mapping[str, Change], seen: Sequence[Seen]) -> None:
    arrived = {each.token for each in seen}
    verdict.lost += [f"lost: {token}, {journal[token]}" for token in journal if token not in arrived]
    for each in seen:
        held = journal.get(each.token)
        if held is None:
            verdict.phantom.append(f"phantom: {each.token}, {each.change} as {each.event}")
        elif held != each.change:
            verdict.altered.append(f"altered: {each.token} is {held} and arrived as {each.change}")


def _ordered(verdict: Verdict, seen: Sequence[Seen]) -> None:
    newest: dict[str, int] = {}
    known: set[str] = set()
    for each in seen:
        if each.token in known:
            continue
        known.add(each.token)
        key, version = each.change.key, each.change.version
        if version <= newest.get(key, version - 1):
            verdict.inverted.append(f"inverted: {each.change} after version {newest[key]}")
        newest[key] = max(version, newest.get(key, version))


def _named(verdict: Verdict, seen: Sequence[Seen]) -> None:
    ids, tokens = defaultdict(set), defaultdict(set)
    for each in seen:
        ids[each.token].add(each.event)
        tokens[each.event].add(each.token)
    verdict.renamed += [f"{token} has the ids {sorted(all_)}" for token, all_ in ids.items() if len(all_) > 1]
    verdict.renamed += [f"{event} is {sorted(all_)}" for event, all_ in tokens.items() if len(all_) > 1]


def _duplicates(verdict: Verdict, seen: Sequence[Seen], faults: list[Fault], window: float) -> None:
    before: dict[str, float] = {}
    for each in seen:
        former = before.get(each.token)
        before[each.token] = each.at
        if former is None:
            continue
        verdict.duplicates += 1
        if not any(fault.begin <= former + window and fault.end >= former - window for fault in faults):
            verdict.needless.append(f"needless: {each.token} at {former:.3f} and again at {each.at:.3f}")
