"""The judge: what the writers and the database say was committed against what the broker has. Pure.

Every change has a token of its own, because after a crash that took asynchronous commits back the same key
gets the same version a second time, for another change.

A failover to a standby that was behind, or a restore from a backup, takes confirmed changes back. What is promised then
is less, and it is judged to the letter: each database that was lost is a ``Life``.

* What the last database holds arrived, whichever life it was published in.
* What a lost one held and the last does not may have arrived, but in the lost one's history only.
* Nothing arrives in a later history that the successor's restored position already knew as published.
* Of what one database held, first occurrences are in order; so are those of what the last one holds, over all lives.
* The event's id stays the same over all lives, and no new event gets an old one's.
"""

import enum
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
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
    history: int = 1
    """The first part of the event's ``sequence``: it rises with each database that takes over."""


@dataclass(frozen=True)
class Life:
    """A feed in a database that was lost."""

    history: int
    """That of all that was published from it."""
    held: Mapping[str, Change]
    """What was durable in it when it was lost."""
    known: frozenset[str]
    """What the successor's saved position knew as published when it took over."""


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
    gone: int = 0
    """Changes that were durable in a database that was lost, and that its successor never had."""
    ghosts: int = 0
    """Those of them that arrived."""

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
            f"lost with their database {self.gone} (arrived {self.ghosts}), unkept {len(self.unkept)}"
        )


def check(
    book: Mapping[str, Outcome],
    journal: Mapping[str, Change],
    seen: Sequence[Seen],
    faults: Iterable[Fault] = (),
    window: float = 0.0,
    lives: Sequence[Life] = (),
    history: int = 1,
) -> Verdict:
    """Judge one feed.

    ``book`` is what the writers know of each token, ``journal`` what the last database holds in the end, in a table
    that the relay never sees, and ``history`` is its; ``lives`` are the databases before it, the first one first.

    A copy is accounted for by a fault that was there within ``window`` seconds after the copy before it: so long may a
    position stay unsaved.
    """
    verdict = Verdict(changes=len(journal), messages=len(seen))
    gone = {token: change for life in lives for token, change in life.held.items() if token not in journal}
    verdict.gone = len(gone)
    _kept(verdict, book, journal, gone)
    for life in lives:
        _single(verdict, life.held)
    _single(verdict, journal)
    _complete(verdict, journal, gone, seen)
    _its_own(verdict, seen, gone.keys() | journal.keys(), [*lives, Life(history, journal, frozenset())])
    for life in lives:
        _ordered(verdict, [each for each in seen if each.history <= life.history and each.token in life.held])
    _ordered(verdict, [each for each in seen if each.token in journal])
    _named(verdict, seen)
    _known(verdict, seen, lives)
    _duplicates(verdict, seen, list(faults), window)
    return verdict


def _kept(
    verdict: Verdict, book: Mapping[str, Outcome], journal: Mapping[str, Change], gone: Mapping[str, Change]
) -> None:
    for token, outcome in book.items():
        absent = token not in journal and token not in gone
        if outcome is Outcome.COMMITTED and absent:
            verdict.unkept.append(f"{token} was confirmed and is not in the database")
        if outcome is Outcome.UNDONE and not absent:
            verdict.unkept.append(f"{token} was rolled back and is in the database")
        verdict.vanished += outcome is Outcome.MAYBE and absent
    verdict.unkept += [f"{token} is in no writer's book" for token in (*journal, *gone) if token not in book]


def _single(verdict: Verdict, held: Mapping[str, Change]) -> None:
    versions = Counter(held.values())
    verdict.unkept += [f"{change} was committed {n} times" for change, n in versions.items() if n > 1]


def _complete(
    verdict: Verdict, journal: Mapping[str, Change], gone: Mapping[str, Change], seen: Sequence[Seen]
) -> None:
    arrived = {each.token for each in seen}
    verdict.lost += [f"lost: {token}, {journal[token]}" for token in journal if token not in arrived]
    verdict.ghosts = sum(token in arrived for token in gone)
    for each in seen:
        held = journal.get(each.token, gone.get(each.token))
        if held is None:
            verdict.phantom.append(f"phantom: {each.token}, {each.change} as {each.event}")
        elif held != each.change:
            verdict.altered.append(f"altered: {each.token} is {held} and arrived as {each.change}")


def _its_own(verdict: Verdict, seen: Sequence[Seen], all_: Set[str], lives: Sequence[Life]) -> None:
    """What was published in a history was in a database of that history; what was in none is told already."""
    for each in seen:
        there = [life.held for life in lives if life.history == each.history]
        if each.token in all_ and not any(each.token in held for held in there):
            verdict.phantom.append(
                f"phantom: {each.token}, {each.change} arrived in history {each.history}, which never had it"
            )


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


def _known(verdict: Verdict, seen: Sequence[Seen], lives: Sequence[Life]) -> None:
    for life in lives:
        verdict.needless += [
            f"needless: {each.token} in history {each.history}, though what took over from {life.history} knew it as "
            "published"
            for each in seen
            if each.history > life.history and each.token in life.known
        ]


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
