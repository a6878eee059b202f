"""What a long poll asks for."""

import pytest

from agent.admin.polls import LONGEST_WAIT, wanted


@pytest.mark.parametrize(
    ("index", "wait", "expected"),
    [
        (None, None, (None, 300.0)),
        ("5", None, (5, 300.0)),
        ("5", "30s", (5, 30.0)),
        ("5", "500ms", (5, 0.5)),
        ("5", "2m", (5, 120.0)),
        ("5", "1.5", (5, 1.5)),
        ("5", "1000h", (5, LONGEST_WAIT)),
    ],
)
def test_index_and_wait_are_read_as_consul_reads_them(
    index: str | None, wait: str | None, expected: tuple[int | None, float]
) -> None:
    assert wanted(index, wait) == expected


@pytest.mark.parametrize(
    ("index", "wait"),
    [("x", None), ("-1", None), ("1" * 21, None), ("٣", None), ("1", "soon"), ("1", "-1s"), (None, "")],
)
def test_malformed_ones_are_refused(index: str | None, wait: str | None) -> None:
    with pytest.raises(ValueError, match=r"index|wait"):
        wanted(index, wait)
