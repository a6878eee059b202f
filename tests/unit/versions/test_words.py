"""Versions in a few words."""

from hypothesis import given
from hypothesis import strategies as st

from agent.model.version import Deprecation, Version
from agent.versions.resolve import Table
from agent.versions.words import words


def test_a_person_sees_default_deprecation_and_sunset() -> None:
    offered = Table(
        (Version(1), Version(2, 1), Version(2, 3)),
        Version(2, 1),
        {Version(1): Deprecation(0, 1798761600), Version(2, 3): Deprecation()},
    )
    assert words(offered) == "v1 (deprecated, until 2027-01-01), v2.1 (default), v2.3 (deprecated)"
    assert words(Table((Version(1),))) == "v1"


@given(st.integers())
def test_no_date_of_others_makes_it_fail(second: int) -> None:
    words(Table((Version(1),), None, {Version(1): Deprecation(None, second)}))
