"""The judge of positions passes what is right and finds each way in which two relays could move one."""

from dataclasses import replace

from tests.chaos.moves import Move, Moved, Place, check

NONE = Place(None, 0, "5:5:", None, 0)
ONES = replace(NONE, owner="one/1", epoch=1)
READ = replace(ONES, target="9:9:", pos=3)
DONE = replace(ONES, base="9:9:", target=None, pos=0)
LEFT = replace(DONE, owner=None)
TWOS = replace(DONE, owner="two/1", epoch=2)


def judged(*moves: tuple[str, Place, Place], relay: bool = True) -> Moved:
    """Moves of one bucket, each by a session with the name of the relay that it is."""
    beats = {"s1": {"one/1"}, "s2": {"two/1"}}
    return check([Move(session, relay, "f", 7, before, after) for session, before, after in moves], beats)


CLAIM = ("s1", NONE, ONES)
WALK = ("s1", ONES, READ)
END = ("s1", READ, DONE)


def test_a_bucket_that_is_claimed_saved_released_taken_and_robbed_is_right() -> None:
    stolen = replace(TWOS, owner="thief", epoch=3)
    found = judged(CLAIM, WALK, END, ("s1", DONE, LEFT), ("s2", LEFT, TWOS))
    assert found == Moved(saves=2, claims=2, owners=1, problems=[])
    assert judged(CLAIM, WALK, END, ("s2", DONE, TWOS)).problems == []
    assert judged(("rig", TWOS, stolen), relay=False).problems == []


def test_a_bucket_may_be_given_up_with_its_last_save() -> None:
    given = replace(DONE, owner=None, epoch=2)
    assert judged(CLAIM, WALK, ("s1", READ, given), ("s2", given, replace(TWOS, epoch=3))).problems == []
    assert judged(CLAIM, WALK, ("s2", READ, given)).problems


def test_a_session_that_only_gives_up_acts_for_one_relay_too() -> None:
    given = replace(DONE, owner=None, epoch=2)
    assert judged(CLAIM, WALK, ("another", READ, given)).problems == []
    found = judged(
        CLAIM, WALK, ("another", READ, given), ("another", replace(TWOS, epoch=2), replace(given, epoch=3))
    )
    assert any("acted as ['one/1', 'two/1']" in problem for problem in found.problems)


def test_a_save_by_who_is_not_the_owner_is_found() -> None:
    assert judged(CLAIM, ("s2", ONES, READ)).problems
    assert judged(("s2", DONE, TWOS), ("s1", TWOS, replace(TWOS, base="11:11:"))).problems


def test_a_save_of_what_nobody_owns_is_found() -> None:
    assert judged(("s1", LEFT, replace(LEFT, base="11:11:"))).problems


def test_a_claim_without_a_new_epoch_is_found() -> None:
    assert judged(CLAIM, ("s2", ONES, replace(ONES, owner="two/1"))).problems
    assert judged(("s2", LEFT, replace(TWOS, epoch=1))).problems


def test_an_epoch_that_falls_is_found() -> None:
    assert judged(("s1", TWOS, replace(DONE, epoch=1))).problems


def test_a_claim_that_moves_the_position_is_found() -> None:
    assert judged(("s2", ONES, replace(TWOS, base="9:9:"))).problems


def test_a_position_that_goes_back_is_found() -> None:
    assert judged(("s1", DONE, replace(DONE, base="5:5:"))).problems
    assert judged(("s1", READ, replace(READ, pos=2))).problems


def test_a_tick_that_is_left_half_read_is_found() -> None:
    assert judged(("s1", READ, replace(READ, target="12:12:"))).problems
    assert judged(("s1", READ, ONES)).problems


def test_a_change_that_the_log_does_not_show_is_found() -> None:
    assert judged(CLAIM, END).problems


def test_a_release_by_another_is_found() -> None:
    assert judged(("s2", DONE, LEFT)).problems
