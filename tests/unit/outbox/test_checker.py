"""The judge of histories passes what is right and finds each kind of damage."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.checker import Change, Fault, Life, Outcome, Seen, Verdict, check


@dataclass(frozen=True)
class History:
    """A history that is right."""

    book: dict[str, Outcome]
    journal: dict[str, Change]
    seen: tuple[Seen, ...]

    def verdict(self, seen: Sequence[Seen] | None = None, faults: Sequence[Fault] = ()) -> Verdict:
        return check(self.book, self.journal, self.seen if seen is None else seen, faults, 1.0)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Keys whose committed versions rise, with rolled back and uncertain changes, in an order that the keys allow."""
    book: dict[str, Outcome] = {}
    journal: dict[str, Change] = {}
    lines = []
    for key in draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)):
        line = []
        for version in range(draw(st.integers(1, 6))):
            token = f"{key}{version}"
            outcome, kept = draw(
                st.sampled_from(
                    [
                        (Outcome.COMMITTED, True),
                        (Outcome.MAYBE, True),
                        (Outcome.MAYBE, False),
                        (Outcome.UNDONE, False),
                    ]
                )
            )
            book[token] = outcome
            if kept:
                journal[token] = Change(key, version)
                line.append(token)
        lines.append(line)
    order: list[str] = []
    while any(lines):
        line = draw(st.sampled_from([each for each in lines if each]))
        order.append(line.pop(0))
    seen = tuple(Seen(token, journal[token], f"id-{token}", float(at)) for at, token in enumerate(order))
    return History(book, journal, seen)


full = histories().filter(lambda history: bool(history.seen))


@given(histories(), st.data())
def test_what_is_right_passes_also_with_late_copies_that_a_fault_accounts_for(
    history: History, data: st.DataObject
) -> None:
    seen = list(history.seen)
    copies = data.draw(st.lists(st.sampled_from(seen), max_size=5)) if seen else []
    seen += [replace(each, at=100.0) for each in copies]
    verdict = history.verdict(seen, [Fault(0.0, 200.0)])
    assert verdict.problems == []
    assert verdict.duplicates == len(copies)


@given(full, st.data())
def test_a_change_that_did_not_arrive_is_found(history: History, data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(history.seen))
    verdict = history.verdict([each for each in history.seen if each != gone])
    assert len(verdict.lost) == 1
    assert verdict.problems == verdict.lost


@given(histories(), st.data())
def test_what_was_not_committed_and_arrived_is_found(history: History, data: st.DataObject) -> None:
    absent = sorted(set(history.book) - set(history.journal)) or ["nobody's"]
    token = data.draw(st.sampled_from(absent))
    at = data.draw(st.integers(0, len(history.seen)))
    seen = [*history.seen[:at], Seen(token, Change("z", 1), "id-z", 0.5), *history.seen[at:]]
    verdict = history.verdict(seen)
    assert len(verdict.phantom) == 1
    assert verdict.problems == verdict.phantom


@given(full, st.data())
def test_two_changes_of_a_key_in_the_wrong_order_are_found(history: History, data: st.DataObject) -> None:
    pairs = [
        (a, b)
        for a in range(len(history.seen))
        for b in range(a + 1, len(history.seen))
        if history.seen[a].change.key == history.seen[b].change.key
    ]
    if not pairs:
        return
    a, b = data.draw(st.sampled_from(pairs))
    seen = list(history.seen)
    seen[a], seen[b] = seen[b], seen[a]
    verdict = history.verdict(seen)
    assert verdict.inverted
    assert verdict.problems == verdict.inverted


@given(full, st.data())
def test_an_early_copy_does_not_hide_that_the_first_came_too_late(
    history: History, data: st.DataObject
) -> None:
    """Keep-first dedupe must give the order: only first occurrences count, and all of them do."""
    late = data.draw(st.sampled_from(history.seen))
    newer = Change(late.change.key, late.change.version + 100)
    journal = {**history.journal, "newer": newer}
    book = {**history.book, "newer": Outcome.COMMITTED}
    first = Seen("newer", newer, "id-newer", 0.0)
    seen = [first, *history.seen, replace(first, at=900.0)]
    verdict = check(book, journal, seen, [Fault(0.0, 1000.0)], 1.0)
    assert verdict.inverted
    assert verdict.problems == verdict.inverted


@given(full, st.data())
def test_a_changed_content_is_found(history: History, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(history.seen) - 1))
    seen = list(history.seen)
    seen[at] = replace(seen[at], change=replace(seen[at].change, key="other"))
    assert history.verdict(seen).altered


@given(full, st.data())
def test_a_copy_under_another_id_is_found(history: History, data: st.DataObject) -> None:
    each = data.draw(st.sampled_from(history.seen))
    seen = [*history.seen, replace(each, event="another", at=each.at + 0.1)]
    verdict = history.verdict(seen, [Fault(0.0, 1000.0)])
    assert verdict.problems == verdict.renamed != []


@given(full.filter(lambda history: len(history.seen) > 1), st.data())
def test_an_id_that_two_changes_have_is_found(history: History, data: st.DataObject) -> None:
    one, other = data.draw(
        st.lists(st.integers(0, len(history.seen) - 1), min_size=2, max_size=2, unique=True)
    )
    seen = list(history.seen)
    seen[one] = replace(seen[one], event=seen[other].event)
    verdict = history.verdict(seen)
    assert verdict.problems == verdict.renamed != []


@given(full, st.data())
def test_a_copy_without_a_fault_near_its_first_is_found(history: History, data: st.DataObject) -> None:
    each = data.draw(st.sampled_from(history.seen))
    seen = [*history.seen, replace(each, at=1000.0)]
    far = [Fault(each.at - 9.0, each.at - 1.1), Fault(each.at + 1.1, 1000.0)]
    assert len(history.verdict(seen, far).needless) == 1
    near = [Fault(each.at + 0.9, each.at + 0.95)]
    assert history.verdict(seen, near).problems == []


@given(full, st.data())
def test_a_database_that_lost_what_it_confirmed_is_found(history: History, data: st.DataObject) -> None:
    each = data.draw(st.sampled_from(history.seen))
    journal = {token: change for token, change in history.journal.items() if token != each.token}
    book = {**history.book, each.token: Outcome.COMMITTED}
    assert check(book, journal, history.seen).unkept
    undone = {**history.book, each.token: Outcome.UNDONE}
    assert check(undone, history.journal, history.seen).unkept
    unknown = {token: outcome for token, outcome in history.book.items() if token != each.token}
    assert check(unknown, history.journal, history.seen).unkept


@given(full, st.data())
def test_a_version_that_was_committed_twice_is_found(history: History, data: st.DataObject) -> None:
    each = data.draw(st.sampled_from(history.seen))
    journal = {**history.journal, "again": each.change}
    seen = [*history.seen, replace(each, token="again", event="id-again")]
    verdict = check({**history.book, "again": Outcome.COMMITTED}, journal, seen)
    assert verdict.unkept
    assert verdict.inverted


@dataclass(frozen=True)
class Taken:
    """One key and two databases: 1 and 2 were in the backup, 2 unsent there, 3 was lost, 3 was written anew."""

    lives: tuple[Life, ...] = (
        Life(1, {"a": Change("k", 1), "b": Change("k", 2), "lost": Change("k", 3)}, frozenset({"a"})),
    )

    def verdict(self, *seen: Seen, **book: Outcome) -> Verdict:
        known = dict.fromkeys(("a", "b", "lost", "anew"), Outcome.COMMITTED)
        journal = {"a": Change("k", 1), "b": Change("k", 2), "anew": Change("k", 3)}
        return check({**known, **book}, journal, seen, [Fault(0.0, 9.0)], 1.0, self.lives, 2)


A, B = Seen("a", Change("k", 1), "id-a", 0.0), Seen("b", Change("k", 2), "id-b", 1.0)
GHOST = Seen("lost", Change("k", 3), "id-lost", 2.0)
B_AGAIN = replace(B, at=3.0, history=2)
ANEW = Seen("anew", Change("k", 3), "id-anew", 4.0, 2)


def test_what_a_backup_allows_passes() -> None:
    verdict = Taken().verdict(A, B, GHOST, B_AGAIN, ANEW)
    assert verdict.problems == []
    assert (verdict.gone, verdict.ghosts, verdict.duplicates) == (1, 1, 1)
    assert Taken().verdict(A, B_AGAIN, ANEW).problems == [], "what was lost need not have arrived"
    late = replace(GHOST, at=5.0)
    assert Taken().verdict(A, B, B_AGAIN, ANEW, late).problems == [], (
        "a paused relay of the lost database wakes up"
    )


def test_what_the_last_database_holds_must_have_arrived_in_some_history() -> None:
    assert len(Taken().verdict(A, GHOST, ANEW).lost) == 1
    assert Taken().verdict(A, B, ANEW).problems == []


def test_what_was_lost_does_not_arrive_in_the_successors_history() -> None:
    assert Taken().verdict(A, B_AGAIN, replace(GHOST, history=2), ANEW).phantom
    assert Taken().verdict(A, B, replace(ANEW, history=1)).phantom, "nor what is new in the lost one's"


def test_what_the_backup_knew_as_published_does_not_arrive_again_in_the_successors_history() -> None:
    assert Taken().verdict(A, B, replace(A, at=3.0, history=2), ANEW).needless
    assert Taken().verdict(A, B, replace(A, at=3.0), ANEW).problems == [], (
        "the lost one's relay may repeat it"
    )


def test_the_order_within_a_lost_database_and_over_all_of_the_last_is_judged() -> None:
    assert Taken().verdict(A, GHOST, B, ANEW).inverted
    assert Taken().verdict(A, ANEW, B_AGAIN).inverted
    assert Taken().verdict(A, B, ANEW, GHOST).problems == [], "two databases' changes have no order"


def test_a_new_event_under_a_lost_ones_id_is_found() -> None:
    assert Taken().verdict(A, B, GHOST, replace(ANEW, event="id-lost")).renamed


def test_what_no_database_had_is_found_though_one_was_lost() -> None:
    assert Taken().verdict(A, B, ANEW, never=Outcome.COMMITTED).unkept
    assert Taken().verdict(A, B, ANEW, lost=Outcome.UNDONE).unkept
