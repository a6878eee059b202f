"""When a feed is in another database than its own, and what is said then."""

import pytest

from agent.outbox.identity import ForeignError, Home, Server, checked

HERE = Server("7", 3, "today")


def home(system: str = "7", timeline: int | None = 3, *, copied: bool = False) -> Home:
    return Home(system, timeline, copied, 1, (), HERE)


def test_the_database_that_it_was_prepared_in_is_its_own() -> None:
    assert checked(home(), "x") == home()
    assert not home().is_successor
    assert not home(timeline=None).is_successor


def test_another_timeline_is_a_successor_and_not_foreign() -> None:
    assert home(timeline=2).is_successor
    assert checked(home(timeline=2), "x")


def test_another_cluster_is_foreign_and_both_ways_out_are_named_with_their_difference() -> None:
    with pytest.raises(ForeignError) as error:
        checked(home("8"), "claiming")
    text = str(error.value)
    assert text.startswith("claiming: this is another PostgreSQL cluster (system identifier 7)")
    assert (
        "adopt --restored` after a restore from a backup, which tells anew what is still to publish" in text
    )
    assert "adopt --pg-upgraded` after pg_upgrade, which keeps the position" in text


def test_a_dump_restored_into_the_same_cluster_is_foreign_and_was_not_upgraded() -> None:
    with pytest.raises(ForeignError, match="restored from a dump") as error:
        checked(home(copied=True), "claiming")
    assert "pg-upgraded" not in str(error.value)
