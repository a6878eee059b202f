"""What is remembered of the last hour."""

import sys

from prometheus_client import CollectorRegistry

from agent.admin import slow
from agent.admin.history import History, news
from agent.admin.lag import FEEDS, Lags
from agent.admin.page import plot
from agent.metrics import make
from agent.metrics.families import outbox
from agent.model.history import Slow
from agent.model.revision import Refusal, Revision
from agent.outbox.status import FeedStatus
from agent.runtime.errors import Transient
from agent.runtime.journal import Journal
from agent.runtime.latest import Latest


def test_the_lag_is_kept_for_an_hour_as_the_worst_of_each_moment() -> None:
    lags = Lags()
    for second in range(0, 7200, 5):
        lags.add(float(second), {"orders": second % 20 / 10})
    points = lags.read(7200.0)["orders"]
    assert len(points) == 179
    assert points[0][0] == 3620
    assert {value for _, value in points} == {1.5}
    assert lags.read(11_000.0)["orders"] == ()


def test_feeds_beyond_the_limit_are_not_remembered() -> None:
    lags = Lags()
    lags.add(0.0, {f"feed-{number}": 1.0 for number in range(FEEDS + 5)})
    assert len(lags.read(1.0)) == FEEDS


def test_a_plot_breaks_where_another_agent_relayed() -> None:
    pieces = list(plot.runs([(0.0, 1.0), (20.0, 1.0), (200.0, 2.0)]))
    assert pieces == [[(0.0, 1.0), (20.0, 1.0)], [(180.0, 2.0), (200.0, 2.0)]]


def test_the_slowest_is_what_the_highest_bucket_got_since_the_last_look() -> None:
    before = {0.1: 5, 1.0: 6, float("inf"): 6}
    assert slow.slowest("x", 9.0, before, before) is None
    assert slow.slowest("x", 9.0, before, {0.1: 7, 1.0: 8, float("inf"): 8}) == Slow("x", 9.0, 0.1, 0.0, 2, 2)
    assert slow.slowest("x", 9.0, before, {0.1: 7, 1.0: 9, float("inf"): 9}) == Slow("x", 9.0, 1.0, 0.1, 1, 3)
    assert slow.slowest("x", 9.0, before, {0.1: 5, 1.0: 6, float("inf"): 8}) == Slow(
        "x", 9.0, None, 1.0, 2, 2
    )


def test_a_counter_that_was_begun_anew_counts_from_there() -> None:
    assert slow.slowest("x", 9.0, {0.1: 50, 1.0: 60}, {0.1: 1, 1.0: 2}) == Slow("x", 9.0, 1.0, 0.1, 1, 2)


def test_the_slowest_of_an_operation_is_forgotten_after_an_hour() -> None:
    kept = slow.Slowest()
    kept.begin({"x": {0.1: 100, 1.0: 100}})
    kept.add(10.0, {"x": {0.1: 100, 1.0: 101}})
    kept.add(1000.0, {"x": {0.1: 101, 1.0: 102}})
    assert [(one.at, one.within) for one in kept.read(1001.0)] == [(10.0, 1.0)]
    assert [(one.at, one.within) for one in kept.read(3700.0)] == [(1000.0, 0.1)]
    assert kept.read(9000.0) == ()


def test_the_memory_of_slow_operations_is_bounded_and_small() -> None:
    kept = slow.Slowest()
    for turn in range(1, 241):
        kept.add(turn * 15.0, {f"calls to s{number}": {0.1: turn, 1.0: turn} for number in range(1000)})
    assert len(kept._before) == len(kept._slots) == slow.OPERATIONS
    held = sum(sys.getsizeof(one) for slots in kept._slots.values() for one in slots)
    assert held < 500_000


def test_the_agents_own_histograms_are_read_by_what_they_measure() -> None:
    collectors = CollectorRegistry()
    make.histogram(outbox.PAGE, collectors).labels("orders").observe(0.03)
    found = slow.own(collectors)["publishing events of orders"]
    assert (found[0.025], found[0.05]) == (0, 1)


def test_a_refusal_is_told_once_and_each_configuration_that_came_into_force() -> None:
    first = Revision(sent="b", in_force="a")
    refused = Revision(sent="b", in_force="a", refusals=(Refusal("route", "b", "no such cluster"),))
    assert news(Revision(), first) == [("accepted", "snapshot a")]
    assert news(first, refused) == [("refused", "route: no such cluster")]
    assert news(refused, refused) == []


def test_a_journal_keeps_the_newest_of_each_subject_and_cuts_long_words() -> None:
    now = iter(range(1000))
    journal = Journal(lambda: float(next(now)), most=3, longest=10)
    journal.add("rare", "accepted")
    for number in range(50):
        journal.add("often", "accepted", f"{number} {'x' * 50}")
    assert [entry.at for entry in journal.newest] == [50.0, 49.0, 48.0, 0.0]
    assert len(journal.newest[0].detail) == 11


async def test_what_this_agent_does_not_relay_has_no_lag_and_an_envoy_away_stops_nothing() -> None:
    async def feeds() -> tuple[FeedStatus, ...]:
        return FeedStatus("mine", "active", lag=2.5), FeedStatus("theirs", "standby", lag=0.0)

    async def away() -> dict[str, dict[float, int]]:
        raise Transient("no answer")

    history = History(
        Latest(Revision()),
        CollectorRegistry(),
        Journal(lambda: 100.0),
        lambda: 100.0,
        outbox=feeds,
        durations=away,
    )
    await history.look()
    await history.ask()
    assert history.read()["lag"] == {"mine": ((100.0, 2.5),)}
    assert history.read()["slowest"] == []
