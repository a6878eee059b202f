"""How a request names a version."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.version import Version
from agent.versions import parse

minors = st.integers(0, 9999)


@given(minors, minors, minors)
def test_a_range_of_numbers_matches_exactly_its_members(low: int, high: int, number: int) -> None:
    matched = re.fullmatch(parse.number_pattern(low, high) or "(?!)", str(number)) is not None
    assert matched == (low <= number <= high)


@given(minors, minors)
def test_a_range_never_matches_leading_zeros(low: int, high: int) -> None:
    assert not re.fullmatch(parse.number_pattern(low, high) or "(?!)", "007")


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/api/v2/orders", Version(2)),
        ("/api/v2", Version(2)),
        ("/api/v2?x=1", Version(2)),
        ("/api/v2.1/", Version(2, 1)),
        ("/api/v0.9/x", Version(0, 9)),
        ("/api/2/orders", None),
        ("/api/v02/orders", None),
        ("/api/v2x/orders", None),
        ("/api/versions", None),
        ("/x/api/v2/orders", None),
        ("/API/v2", None),
        ("/api/v12345/x", None),
        ("/api/v2.1.3/x", None),
    ],
)
def test_a_url_names_a_version_right_below_api(path: str, version: Version | None) -> None:
    assert parse.from_url(path) == version


@pytest.mark.parametrize(
    ("accept", "wishes"),
    [
        ("application/vnd.shop.v2+json", "v2"),
        ("application/vnd.acme.shop-api.v2.1+json; q=0.9", "v2.1"),
        ("text/html, Application/VND.x.V2+JSON ,*/*", "v2"),
        ("application/json", ""),
        ("application/vnd.v2+json", ""),
        ("application/vnd.shop.v2+xml", ""),
        ("xapplication/vnd.shop.v2+json", ""),
        ("application/vnd.a/b.v2+json", ""),
        ("application/vnd.a.v02+json, application/vnd.a.v12345+json, application/vnd.a.v2.+json", ""),
        ("application/vnd.a.v1+json;q=0.5, application/vnd.a.v2+json;q=0.51", "v2 v1"),
        ("application/vnd.a.v1+json, application/vnd.a.v2.3+json, application/vnd.a.v2+json", "v2 v2.3 v1"),
        ("application/vnd.a.v1+json;q=0, application/vnd.a.v2+json;q=0.000", ""),
        ("application/vnd.a.v1+json;q=0.2, application/vnd.b.v1+json;q=0.7, application/vnd.a.v2+json;q=0.5", "v1 v2"),
        ("application/vnd.a.v1+json;q=1.5, application/vnd.a.v2+json;q=high, application/vnd.a.v3+json;q=.5", ""),
        ('application/vnd.a.v1+json;note="x, y;q=0";Q=0.3, application/vnd.a.v2+json;q=0.2', "v1 v2"),
        (", ,application/vnd.a.v1+json,", "v1"),
        ("", ""),
        ("application/vnd.a.v1+json," + "x" * 4096, ""),
    ],
)  # fmt: skip
def test_accept_names_versions_in_vendor_types_the_most_wanted_first(accept: str, wishes: str) -> None:
    """RFC 9110, 12.4.2: the weight decides, 0 is a refusal; of equals the newest comes first."""
    assert " ".join(map(str, parse.wishes(accept))) == wishes


def test_no_accept_makes_more_than_sixteen_wishes() -> None:
    many = ",".join(f"application/vnd.a.v{number}+json" for number in range(40))
    assert [one.major for one in parse.wishes(many)] == [*reversed(range(16))]


@given(st.sets(minors, max_size=6))
def test_the_ranges_between_numbers_hold_all_others(numbers: set[int]) -> None:
    ranges = parse.ranges_between(sorted(numbers))
    assert sum(high - low + 1 for low, high in ranges) == 10_000 - len(numbers)
    assert not any(low <= number <= high for number in numbers for low, high in ranges)


def test_the_header_names_a_version_or_is_refused() -> None:
    assert parse.from_header("2") == parse.from_header("v2") == Version(2)
    assert parse.from_header("") is None
    with pytest.raises(ValueError, match="banana"):
        parse.from_header("banana")


@given(st.text())
def test_no_text_makes_a_reader_raise(text: str) -> None:
    parse.from_url(text)
    parse.wishes(text)
