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
    ("accept", "version"),
    [
        ("application/vnd.shop.v2+json", Version(2)),
        ("application/vnd.acme.shop-api.v2.1+json; q=0.9", Version(2, 1)),
        ("text/html, Application/VND.x.V2+JSON ,*/*", Version(2)),
        ("application/json", None),
        ("application/vnd.v2+json", None),
        ("application/vnd.shop.v2+xml", None),
        ("xapplication/vnd.shop.v2+json", None),
        ("application/vnd.a/b.v2+json", None),
        ("", None),
    ],
)
def test_accept_names_a_version_in_a_vendor_type_anywhere_in_the_list(
    accept: str, version: Version | None
) -> None:
    assert parse.from_accept(accept) == version


def test_the_header_names_a_version_or_is_refused() -> None:
    assert parse.from_header("2") == parse.from_header("v2") == Version(2)
    assert parse.from_header("") is None
    with pytest.raises(ValueError, match="banana"):
        parse.from_header("banana")


@given(st.text())
def test_no_text_makes_a_reader_raise(text: str) -> None:
    parse.from_url(text)
    parse.from_accept(text)
