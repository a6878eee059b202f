"""Which version a request gets."""

from hypothesis import given
from hypothesis import strategies as st

from agent.model.version import Deprecation, Offer, Version
from agent.versions.resolve import MOST, Table, table

versions = st.builds(Version, st.integers(0, 4), st.integers(-1, 6))


def of(*texts: str) -> Table:
    """A table of the versions."""
    found = table([Offer(tuple(Version.parse(text) for text in texts))])
    assert found is not None
    return found


def got(offered: Table, text: str) -> str:
    """What a request that names this gets."""
    return str(offered.resolve(Version.parse(text)))


def test_a_major_alone_means_its_newest_minor() -> None:
    offered = of("v1", "v2.1", "v2.3", "v3")
    assert [got(offered, text) for text in ("v1", "v2", "v3")] == ["v1", "v2.3", "v3"]


def test_a_minor_means_itself_else_the_lowest_above_it() -> None:
    offered = of("v2.1", "v2.3")
    assert [got(offered, text) for text in ("v2.0", "v2.1", "v2.2", "v2.3", "v2.4")] == [
        "v2.1", "v2.1", "v2.3", "v2.3", "None",
    ]  # fmt: skip


def test_a_bare_major_on_offer_stands_for_its_first_minor() -> None:
    assert [got(of("v2", "v2.1"), text) for text in ("v2", "v2.0", "v2.1")] == ["v2.1", "v2", "v2.1"]
    assert [got(of("v2", "v2.0"), text) for text in ("v2", "v2.0")] == ["v2.0", "v2.0"]
    assert got(of("v2"), "v2.1") == "None"


@given(st.lists(versions, min_size=1, max_size=12), versions)
def test_resolution_follows_the_rule_for_every_offer(offered: list[Version], named: Version) -> None:
    """Compared with the rule written down once more, plainly."""
    found = table([Offer(tuple(offered))])
    assert found is not None
    same = [one for one in sorted(set(offered)) if one.major == named.major]
    if named.minor < 0:
        expected = same[-1] if same else None
    else:
        fits = [one for one in same if max(one.minor, 0) >= named.minor]
        exact = [one for one in fits if one.minor == named.minor]
        expected = (exact or fits or [None])[0]
    assert found.resolve(named) == expected


def test_a_request_that_names_none_gets_the_default_else_the_newest() -> None:
    assert of("v1", "v2").resolve(None) == Version(2)
    offered = table([Offer((Version(1), Version(2, 1)), Version(1))])
    assert offered is not None
    assert offered.resolve(None) == Version(1)


def test_a_default_that_nobody_serves_counts_as_none_and_the_lowest_of_several_wins() -> None:
    serves = (Version(1), Version(2, 0), Version(2, 4))
    assert table([Offer(serves, Version(9))]).default is None
    assert table([Offer(serves, Version(2)), Offer(serves, Version(1))]).default == Version(1)
    assert table([Offer(serves, Version(2))]).default == Version(2, 4)


def test_a_service_whose_instances_declare_nothing_is_not_versioned() -> None:
    assert table([]) is None
    assert table([Offer(), Offer()]) is None
    assert table([Offer((Version(10**6, 3), Version(1, -9)))]) is None


def test_no_catalogue_can_make_the_table_long() -> None:
    offered = table([Offer(tuple(Version(1, minor) for minor in range(1000)))])
    assert offered is not None
    assert len(offered.versions) == MOST
    assert offered.newest == Version(1, 999)


def test_deprecations_of_all_instances_count_for_what_is_served() -> None:
    first, second = Deprecation(1), Deprecation(2)
    old = Offer((Version(1), Version(2)), None, {Version(1): first, Version(7): first})
    offered = table([old, Offer((Version(2),), None, {Version(2): second})])
    assert offered is not None
    assert offered.deprecated == {Version(1): first, Version(2): second}
