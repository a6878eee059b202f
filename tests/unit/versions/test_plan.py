"""Rules, headers and documents."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.sections import mesh
from agent.model.version import Deprecation, Offer, Version
from agent.versions import declared, parse, plan
from agent.versions.plan import Place, Rule
from agent.versions.resolve import Table, table

versions = st.builds(Version, st.integers(0, 4), st.integers(-1, 12))


def of(*texts: str) -> Table:
    """A table of the versions."""
    found = table([Offer(tuple(Version.parse(text) for text in texts))])
    assert found is not None
    return found


def first(rules: tuple[Rule, ...], place: Place, text: str) -> Rule:
    """The first rule at the place that takes the version's text."""
    return next(rule for rule in rules if rule.place is place and re.fullmatch(rule.pattern, text))


@given(st.lists(versions, min_size=1, max_size=10), versions)
def test_rules_say_the_same_as_resolution(offered: list[Version], named: Version) -> None:
    """Whatever is on offer and whatever is named, at each place."""
    found = table([Offer(tuple(offered))])
    assert found is not None
    for place in (Place.URL, Place.HEADER, Place.ACCEPT):
        rule = first(plan.rules(found), place, str(named)[1:])
        assert rule.version == found.resolve(named)


def test_places_come_in_their_order_and_the_last_rule_takes_the_rest() -> None:
    places = [rule.place for rule in plan.rules(of("v1", "v2"))]
    assert places == sorted(places, key=list(Place).index)
    assert places[-1] is Place.NONE


def test_the_policy_latest_forces_the_newest_where_nothing_fits() -> None:
    rules = plan.rules(of("v1", "v2"), "latest", Version(9))
    for place in (Place.URL, Place.HEADER, Place.ACCEPT):
        rule = first(rules, place, "9")
        assert (rule.version, rule.forced) == (Version(2), True)
    assert (rules[-1].version, rules[-1].forced) == (Version(2), True)


def test_a_pin_that_nothing_fits_is_refused() -> None:
    assert plan.rules(of("v1"), "compatible", Version(9))[-1].version is None
    assert plan.rules(of("v1", "v2"), "compatible", Version(1))[-1].version == Version(1)


def test_a_deprecated_version_tells_when_and_what_follows() -> None:
    offered = Table(
        (Version(1), Version(2)),
        None,
        {Version(1): Deprecation(1767225600, 1798761600, "https://x.example/v2?a=%41")},
    )
    assert plan.response_headers(offered, Version(1)) == (
        ("deprecation", "@1767225600"),
        ("sunset", "Fri, 01 Jan 2027 00:00:00 GMT"),
        ("link", '<https://x.example/v2?a=%41>; rel="successor-version"'),
    )
    assert plan.response_headers(offered, Version(2)) == ()


@given(st.builds(Deprecation, st.none() | st.integers(), st.none() | st.integers(), st.text()))
def test_no_deprecation_makes_a_header_that_is_not_one_line_of_ascii(deprecation: Deprecation) -> None:
    """They come from other teams."""
    offered = Table((Version(1),), None, {Version(1): deprecation})
    for _, value in plan.response_headers(offered, Version(1)):
        assert value.isascii()
        assert value.isprintable()
        assert value.count("<") <= 1
    json.dumps(plan.listing(offered))


def test_a_refusal_lists_what_exists() -> None:
    problem = plan.not_found("orders", of("v1", "v2.1"))
    assert set(problem) == {"type", "title", "status", "detail", "available"}
    assert problem["available"] == ["v1", "v2.1"]


def test_settings_become_an_offer() -> None:
    section = mesh.Versions(
        serves=("v2.1", "1"),
        default="v1",
        strip_prefix=True,
        deprecated={
            "v1": mesh.Deprecated(since="2026-01-01", sunset="2027-01-01T00:00:00+01:00", link="https://x")
        },
    )
    assert declared.offer(section) == Offer(
        (Version(1), Version(2, 1)),
        Version(1),
        {Version(1): Deprecation(1767225600, 1798758000, "https://x")},
        strip_prefix=True,
    )
    assert declared.offer(mesh.Versions()) == Offer()


def test_a_date_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="soon"):
        declared.offer(mesh.Versions(serves=("v1",), deprecated={"v1": mesh.Deprecated(since="soon")}))


def test_every_pattern_is_one_that_envoy_reads_alike() -> None:
    """RE2 has no lookaround and no backreference."""
    for rule in plan.rules(of("v1", "v2.1", "v2.99", "v3")):
        patterns = [read(rule.pattern) for read in (parse.url_pattern, parse.header_pattern)]
        for pattern in (*patterns, parse.wishes_pattern(rule.pattern, rule.unfit)):
            assert not re.search(r"\(\?[=!<]", pattern)


@given(
    st.lists(versions, min_size=1, max_size=10), versions | st.builds(Version, st.just(9999), st.just(9999))
)
def test_what_nothing_fits_is_exactly_what_the_pattern_of_the_rest_matches(
    offered: list[Version], named: Version
) -> None:
    found = table([Offer(tuple(offered))])
    assert found is not None
    matched = re.fullmatch(plan.unfit_pattern(found), str(named)[1:]) is not None
    assert matched == (found.resolve(named) is None)


def test_where_everything_fits_nothing_is_passed_over() -> None:
    full = Table(tuple(Version(major, 9999) for major in range(10_000)))
    assert plan.unfit_pattern(full) == ""
    assert parse.wishes_pattern("1", "") == "(?:1)(?:,.*)?"
