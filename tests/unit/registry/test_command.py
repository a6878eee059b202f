"""What of a command's output is shown."""

from hypothesis import given
from hypothesis import strategies as st

from agent.registry import command


def test_values_are_masked_wherever_they_stand_also_line_by_line_and_escaped() -> None:
    values = ["hunter2", "-----BEGIN\nabc\n-----END", 'say "hi"', "5"]
    output = b'password=hunter2!\nabc\n{"greeting": "say \\"hi\\""} retry 5 of 15\n'
    said = command.masked(output, values)
    assert said == ': password=***! *** {"greeting": "***"} retry *** of 1***'


def test_output_is_short_and_printable() -> None:
    assert command.masked(b"\x1b[31mred\x00\n", []) == ": [31mred"
    assert command.masked(b" \n", []) == ""
    assert command.masked(b"a line\nhunt", ["hunter2"], whole=False) == ": a line"
    assert len(command.masked(b"x" * 10_000, [])) == command.SHOWN + 3


def test_a_line_that_was_cut_is_not_shown() -> None:
    output = b"a line\n" + b"hunter2" * 10_000
    assert command.masked(output[: command.READ], ["hunter2" * 10_000]) == ": a line"


@given(st.lists(st.text(min_size=3, max_size=8), max_size=4), st.text(max_size=20))
def test_no_value_is_in_what_is_shown(values: list[str], other: str) -> None:
    said = command.masked(other.join(values).encode(errors="replace"), values)
    for value in values:
        assert not set(value.strip()) - set("*: ") or value not in said
