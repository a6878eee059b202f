"""Of each key one at a time."""

from hypothesis import given
from hypothesis import strategies as st

from agent.outbox.inbox.lines import Lines


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"))))
def test_each_key_is_in_order_with_one_in_work(moves: list[tuple[bool, str]]) -> None:
    lines: Lines[int] = Lines()
    model: dict[str, list[int]] = {each: [] for each in "abc"}
    for number, (adds, key) in enumerate(moves):
        if adds:
            assert lines.add(key, number) is (not model[key])
            model[key].append(number)
        elif model[key]:
            model[key].pop(0)
            assert lines.finish(key) == (model[key][0] if model[key] else None)
        assert lines.first(key) == (model[key][0] if model[key] else None)
    assert len(lines) == sum(map(len, model.values()))
