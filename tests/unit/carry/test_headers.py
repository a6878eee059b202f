"""What of the incoming headers is fit to be sent on."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.carry.conftest import Hook

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (PARENT, PARENT),
        (PARENT[:-2] + "03", PARENT[:-2] + "03"),
        (f"cc-{TRACE}-03-what-comes", PARENT),
        (f"cc-{TRACE}-02", PARENT[:-1] + "0"),
        ("", ""),
        (f"ff-{TRACE}-01", ""),
        (PARENT.upper(), ""),
        (PARENT + "-more", ""),
        (PARENT + ",", ""),
        (f"{PARENT},{PARENT}", ""),
        (PARENT + "\n", ""),
        (PARENT[:-1], ""),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", ""),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", ""),
    ],
)
def test_a_traceparent_is_sent_as_version_00_or_not_at_all(hook: Hook, value: str, sent: str) -> None:
    assert hook.headers.parent_of(value) == sent


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("a=1,b=2", "a=1,b=2"),
        (" a=1 ,\t, b=x y", "a=1,b=x y"),
        ("1tenant@vendor=v", "1tenant@vendor=v"),
        (",".join(f"k{number}=v" for number in range(32)), ",".join(f"k{number}=v" for number in range(32))),
        (",".join(f"k{number}=v" for number in range(33)), ""),
        ("a" * 256 + "=1", "a" * 256 + "=1"),
        ("a" * 257 + "=1", ""),
        ("a@" + "b" * 15 + "=1", ""),
        ("a=" + "1" * 257, ""),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a=1=2", ""),
        ("a=", ""),
        ("a", ""),
        ("a=\x01", ""),
        ("a=é", ""),
    ],
)
def test_a_tracestate_with_one_wrong_member_is_left_out(hook: Hook, value: str, sent: str) -> None:
    assert hook.headers.state_of(value) == sent


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("user=1,tier=gold;p=1;q", True),
        ("a = b ; c = d", True),
        ("a=%20b", True),
        ("a=", True),
        ("=b", False),
        ("a b=c", False),
        ('a="b"', False),
        ("a=b,,c=d", False),
        ("a=\r\nx: y", False),
        ("a=" + "b" * 8191, False),
    ],
)
def test_baggage_is_sent_as_it_came_or_not_at_all(hook: Hook, value: str, valid: bool) -> None:
    assert hook.headers.baggage_of(value) == (value if valid else "")


def test_a_state_without_its_parent_is_left_out(hook: Hook) -> None:
    assert hook.headers.check("nonsense", "a=1", "b=2", "id-1").pairs == (
        ("baggage", "b=2"),
        ("x-request-id", "id-1"),
    )


@pytest.mark.parametrize("value", ["", "a b", "a\r\nb", "é", "x" * 257])
def test_a_request_id_is_one_visible_word(hook: Hook, value: str) -> None:
    assert hook.headers.check("", "", "", value).pairs == ()


@pytest.mark.parametrize(
    ("present", "added"),
    [
        (set(), ["traceparent", "tracestate", "baggage", "x-request-id"]),
        ({"accept", "x-request-id"}, ["traceparent", "tracestate", "baggage"]),
        ({"traceparent"}, ["baggage", "x-request-id"]),
        ({"tracestate"}, ["baggage", "x-request-id"]),
        ({"baggage"}, ["traceparent", "tracestate", "x-request-id"]),
    ],
)
def test_a_caller_who_set_half_of_the_trace_context_owns_all_of_it(
    hook: Hook, present: set[str], added: list[str]
) -> None:
    checked = hook.headers.check(PARENT, "a=1", "b=2", "id-1")
    assert [name for name, _ in checked.missing(present)] == added


@given(st.text(), st.text(), st.text(), st.text())
def test_whatever_comes_in_only_safe_text_goes_out(
    hook: Hook, parent: str, state: str, baggage: str, word: str
) -> None:
    for _, value in hook.headers.check(parent, state, baggage, word).pairs:
        assert re.fullmatch(r"[\t\x20-\x7e]+", value)


@given(st.text(alphabet='ab01=,;@%\t *-_\x7f"', max_size=8192))
def test_checking_takes_no_more_than_a_moment(hook: Hook, value: str) -> None:
    """In the CPU's time: how long it takes beside others says nothing of the code."""
    before = time.thread_time()
    hook.headers.state_of(value)
    hook.headers.baggage_of(value)
    assert time.thread_time() - before < 0.5
