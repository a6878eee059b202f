"""What stays of a service that Consul forgot."""

from agent.model.address import Address
from agent.model.catalog import Instance
from agent.registry import fold
from agent.registry.decode import Reading

ONE, TWO = Instance("one", Address("10.0.0.1", 1)), Instance("two", Address("10.0.0.2", 1))
BOTH = Reading((ONE, TWO), frozenset({"one", "two"}), ("/o",))
NONE = Reading()


def known(reading: Reading = BOTH) -> fold.Known:
    return fold.fold(fold.Known("orders"), reading, lost=False, keep_last=600, now=0)


def after(
    before: fold.Known,
    reading: Reading,
    now: float,
    *,
    lost: bool = False,
    keep: float = 600,
) -> fold.Known:
    return fold.fold(before, reading, lost=lost, keep_last=keep, now=now)


def ids(state: fold.Known) -> list[str]:
    return [instance.id for instance in state.service().instances]


def test_what_left_is_gone_at_once() -> None:
    state = after(known(), NONE, 1)
    assert (ids(state), state.service().stale, state.empty) == ([], False, True)


def test_what_was_lost_stays_stale_with_its_routes() -> None:
    state = after(known(), NONE, 1, lost=True)
    assert (ids(state), state.service().stale, state.service().routes) == (["one", "two"], True, ("/o",))


def test_the_instances_that_come_back_replace_their_lost_selves_one_by_one() -> None:
    lost = after(known(), NONE, 1, lost=True)
    moved = Instance("one", Address("10.0.0.9", 1))
    state = after(lost, Reading((moved,), frozenset({"one"})), 2)
    assert state.service().instances == (moved, TWO)
    state = after(state, Reading((moved, TWO), frozenset({"one", "two"})), 3)
    assert state.service().stale is False


def test_a_lost_instance_that_comes_back_critical_is_believed() -> None:
    lost = after(known(), NONE, 1, lost=True)
    assert ids(after(lost, Reading((), frozenset({"one"})), 2)) == ["two"]


def test_a_loss_is_over_after_keep_last() -> None:
    lost = after(known(), NONE, 10, lost=True)
    assert ids(after(lost, NONE, 609)) == ["one", "two"]
    assert ids(after(lost, NONE, 610)) == []
    assert fold.expired(lost, keep_last=600, now=610).empty


def test_with_keep_last_0_nothing_is_kept() -> None:
    assert after(known(), NONE, 1, lost=True, keep=0).empty


def test_once_one_instance_passes_again_the_missing_ones_are_kept_for_a_moment_only() -> None:
    lost = after(known(), NONE, 10, lost=True)
    back = after(lost, Reading((ONE,), frozenset({"one"})), 20)
    assert ids(fold.expired(back, keep_last=600, now=49)) == ["one", "two"]
    assert ids(fold.expired(back, keep_last=600, now=50)) == ["one"]


def test_two_losses_in_a_row_keep_what_both_lost() -> None:
    lost = after(known(), NONE, 1, lost=True)
    back = after(lost, Reading((ONE,), frozenset({"one"})), 2)
    again = after(back, NONE, 3, lost=True)
    assert ids(again) == ["one", "two"]


def test_an_address_is_never_offered_twice() -> None:
    lost = after(known(), NONE, 1, lost=True)
    heir = Instance("heir", ONE.address)
    assert ids(after(lost, Reading((heir,), frozenset({"heir"})), 2)) == ["heir", "two"]


def test_a_missing_instance_matters_only_if_it_passed() -> None:
    assert fold.missing(known(), NONE)
    assert fold.missing(known(), Reading((ONE,), frozenset({"one"})))
    assert not fold.missing(known(), Reading((), frozenset({"one", "two"})))
    assert not fold.missing(fold.Known("orders"), NONE)


def test_instances_that_went_with_their_nodes_are_kept_while_those_who_live_register_again() -> None:
    assert fold.last_gone(known(), NONE)
    gone = after(known(), NONE, 10, lost=True)
    assert (ids(gone), gone.service().stale) == (["one", "two"], True)
    assert ids(after(gone, NONE, 609)) == ["one", "two"]
    assert ids(after(gone, NONE, 610)) == []
    back = after(gone, Reading((ONE,), frozenset({"one"})), 100)
    assert ids(after(back, Reading((ONE,), frozenset({"one"})), 100 + fold.SETTLE)) == ["one"]
    assert ids(after(back, BOTH, 101)) == ["one", "two"]
    assert not after(back, BOTH, 101).service().stale


def test_nobody_asks_for_nodes_while_an_instance_is_left() -> None:
    assert not fold.last_gone(known(), Reading((ONE,), frozenset({"one"})))
    assert not fold.last_gone(fold.Known("orders"), NONE)
    assert not fold.last_gone(after(known(), NONE, 1, lost=True), NONE)


def test_an_instance_that_a_leaving_client_tells_once_more_is_lost_with_the_others_when_its_node_goes_again() -> (
    None
):
    gone = after(known(), NONE, 10, lost=True)
    told = after(gone, Reading((ONE,), frozenset({"one"})), 11)
    assert fold.last_gone(told, NONE)
    again = after(told, NONE, 12, lost=True)
    assert sorted(ids(again)) == ["one", "two"]
    assert sorted(ids(after(again, NONE, 12 + fold.SETTLE))) == ["one", "two"]


OUT = Reading(routes=("/o",), unseen=(ONE, TWO))


def test_where_nobody_passes_those_whose_nodes_are_only_out_of_sight_are_called() -> None:
    state = after(known(), OUT, 10)
    assert (ids(state), state.service().stale, state.service().routes) == (["one", "two"], True, ("/o",))
    assert ids(after(fold.Known("orders"), OUT, 10)) == ["one", "two"], "an agent that has just started"
    assert not fold.last_gone(known(), OUT)


def test_out_of_sight_has_no_end_while_consul_lists_it() -> None:
    state = after(known(), OUT, 10)
    assert ids(fold.expired(state, keep_last=600, now=1e6)) == ["one", "two"]
    gone = after(state, NONE, 1000)
    assert ids(fold.expired(gone, keep_last=600, now=1599)) == ["one", "two"]
    assert fold.expired(gone, keep_last=600, now=1600).empty


def test_one_in_sight_again_leaves_the_others_a_moment() -> None:
    back = after(after(known(), OUT, 10), Reading((ONE,), frozenset({"one"}), unseen=(TWO,)), 50)
    assert ids(fold.expired(back, keep_last=600, now=79)) == ["one", "two"]
    assert ids(fold.expired(back, keep_last=600, now=80)) == ["one"]
    assert ids(after(back, Reading((), unseen=(ONE, TWO)), 60)) == ["one", "two"]


def test_while_another_passes_nobody_out_of_sight_is_called() -> None:
    assert ids(after(known(), Reading((ONE,), frozenset({"one"}), unseen=(TWO,)), 10)) == ["one"]


def test_out_of_sight_is_no_reason_to_call_one_that_fails_or_where_nothing_is_kept() -> None:
    assert ids(after(known(), Reading((), frozenset({"one"}), unseen=(TWO,)), 10)) == ["two"]
    assert after(known(), OUT, 10, keep=0).empty


QUIET = Reading((), frozenset({"one", "two"}), ("/o",), silent=(ONE, TWO))


def test_instances_of_which_nobody_told_consul_since_are_called_for_a_moment_where_none_passes() -> None:
    """All checks of a Consul that stood still are over at once; who lives feeds his own a moment later."""
    state = after(known(), QUIET, 10)
    assert (ids(state), state.service().stale, state.empty) == (["one", "two"], True, False)
    assert fold.until(state, 600) == 10 + fold.SETTLE
    assert ids(after(state, QUIET, 25)) == ["one", "two"]
    assert ids(fold.expired(state, keep_last=600, now=9 + fold.SETTLE)) == ["one", "two"]
    assert fold.expired(state, keep_last=600, now=10 + fold.SETTLE).empty
    assert after(after(state, QUIET, 25), QUIET, 10 + fold.SETTLE).empty, (
        "hearing of it again does not prolong it"
    )


def test_while_another_passes_no_quiet_one_is_called() -> None:
    assert ids(after(known(), Reading((ONE,), frozenset({"one", "two"}), silent=(TWO,)), 10)) == ["one"]
    fed = after(after(known(), QUIET, 10), Reading((ONE,), frozenset({"one", "two"}), silent=(TWO,)), 11)
    assert (ids(fed), fed.service().stale) == (["one"], False)
    assert fold.until(fed, 600) == float("inf")


def test_a_quiet_one_that_speaks_is_believed() -> None:
    quiet = after(known(), QUIET, 10)
    assert after(quiet, Reading((), frozenset({"one", "two"})), 11).empty
    assert not after(quiet, BOTH, 11).service().stale


def test_who_was_not_called_before_is_not_called_for_being_quiet() -> None:
    assert after(fold.Known("orders"), QUIET, 10).empty
    assert after(known(), QUIET, 10, keep=0).empty


def test_what_is_quiet_can_be_lost_and_what_was_lost_can_come_back_quiet() -> None:
    quiet = after(known(), QUIET, 10)
    assert fold.missing(quiet, NONE)
    assert fold.last_gone(quiet, NONE)
    assert ids(after(quiet, NONE, 11, lost=True)) == ["one", "two"]
    assert ids(after(quiet, NONE, 11)) == []
    back = after(after(known(), NONE, 1, lost=True), QUIET, 50)
    assert (ids(back), back.lost) == (["one", "two"], ())
    assert fold.until(back, 600) == 50 + fold.SETTLE
