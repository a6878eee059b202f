"""What is committed to Kafka never passes a message that is open."""

from hypothesis import given
from hypothesis import strategies as st

from agent.outbox.inbox.sources.offsets import Offsets

STEPS = st.lists(st.tuples(st.sampled_from(["came", "done"]), st.integers(0, 30)), max_size=80)


@given(STEPS)
def test_the_position_is_behind_all_that_is_done_and_never_beyond_what_is_open(
    steps: list[tuple[str, int]],
) -> None:
    """Offsets rise, but for a partition that is begun anew further back."""
    offsets, opened = Offsets(7), set[int]()
    for what, number in steps:
        if what == "came":
            assert offsets.came(number) == (number not in opened)
            opened.add(number)
        else:
            offsets.done(number)
            opened.discard(number)
        assert offsets.open == len(opened)
        assert all(offsets.position <= each for each in opened)


def test_messages_that_are_done_in_any_order_are_committed_up_to_the_first_that_is_open() -> None:
    offsets = Offsets(10)
    assert offsets.position == 10
    for each in (10, 11, 14):  # an offset that is left out was another producer's transaction
        assert offsets.came(each)
    offsets.done(11)
    offsets.done(14)
    assert offsets.position == 10
    offsets.done(10)
    assert offsets.position == 15


def test_a_copy_of_an_open_message_is_told_and_one_that_was_done_is_handed_out_again() -> None:
    offsets = Offsets(0)
    assert offsets.came(0)
    assert not offsets.came(0)
    offsets.done(0)
    assert offsets.came(0)
    assert offsets.position == 0
