"""What is told of entries that no plan can use."""

import asyncio
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from agent.model.address import Address
from agent.model.catalog import Catalog, Instance, Service
from agent.model.review import Review
from agent.proxy import review
from agent.proxy.metrics import Metrics
from agent.proxy.planner import conflicts, problems
from agent.runtime.health import Board, State
from agent.runtime.latest import Latest
from tests.waiting import until


def bad(number: int, name: str = "orders") -> Instance:
    """An instance that nobody can call."""
    return Instance(f"bad-{number}", Address("169.254.0.1", number + 1))


def services(*instances: Instance, name: str = "orders", routes: tuple[str, ...] = ()) -> dict[str, Service]:
    """One service."""
    return {name: Service(name, instances, routes)}


class Rig:
    """A reviewer of its own catalogue."""

    def __init__(self, *, gateway: bool = False) -> None:
        self.catalog: Latest[Catalog] = Latest(Catalog())
        self.reviews = Latest(Review())
        self.board = Board(lambda: 0.0)
        self.registry = CollectorRegistry()
        self.asked: list[str] = []
        self.reviewer = review.Reviewer(
            self.catalog, self.reviews, self.problems, conflicts if gateway else None,
            health=self.board.of("review"), metrics=Metrics(self.registry), pause=0,
        )  # fmt: skip

    def problems(self, catalog: Catalog) -> tuple[str, ...]:
        """The planner's own, noting who was looked at."""
        self.asked += catalog.services
        return problems(catalog)

    def see(self, known: dict[str, Service]) -> list[str]:
        """Review this catalogue; the lines that were logged."""
        self.catalog.set(Catalog(known))
        with capture_logs() as lines:
            self.reviewer.turn()
        return [str(line["reason"]) for line in lines]


def test_an_entry_that_is_left_out_is_logged_once_and_stays_in_status_and_metrics() -> None:
    rig = Rig()
    assert len(rig.see(services(bad(1)))) == 1
    assert rig.see(services(bad(1), bad(2))) == [one for one in rig.reviews.value.problems if "bad-2" in one]
    assert rig.reviews.value.problem_count == 2
    assert rig.registry.get_sample_value("pillion_plan_left_out") == 2
    report = rig.board.reports["review"]
    assert report.state is State.DEGRADED
    assert report.detail.startswith("2 things of the registry left out, such as: The instance 'bad-1'")
    rig.see(services())
    assert rig.board.reports["review"].state is State.OK
    assert rig.registry.get_sample_value("pillion_plan_left_out") == 0


def test_conflicts_are_a_gateways_matter() -> None:
    one = Instance("i", Address("10.0.0.1", 80))
    known = {**services(one, name="a", routes=("/same",)), **services(one, name="b", routes=("/same",))}
    rig = Rig(gateway=True)
    assert len(rig.see(known)) == 1
    assert rig.reviews.value.conflicts == ("Both a and b ask for /same: a gets it.",)
    assert rig.registry.get_sample_value("pillion_plan_conflicts") == 1
    assert "1 path prefix wanted by several services" in rig.board.reports["review"].detail
    plain = Rig()
    assert plain.see(known) == []
    assert plain.board.reports["review"].state is State.OK


def test_ten_thousand_bad_entries_with_long_names_cost_few_words() -> None:
    rig = Rig()
    many = [
        Instance(f"{number}-{'x' * 10_000}", Address("169.254.0.1", 1 + number % 60_000))
        for number in range(10_000)
    ]
    lines = rig.see(services(*many))
    assert len(lines) == review.LINES + 1
    assert max(map(len, lines)) <= review.LONGEST + 1
    told = rig.reviews.value
    assert (told.problem_count, len(told.problems)) == (10_000, review.SHOWN)
    assert max(map(len, told.problems)) <= review.LONGEST + 1
    assert rig.see(services(*reversed(many))) == [] or len(lines) <= review.LINES + 1


def test_only_services_that_changed_are_looked_at_again() -> None:
    rig = Rig()
    rig.see({**services(bad(1), name="a"), **services(bad(1), name="b")})
    rig.asked.clear()
    rig.see({**services(bad(1), name="a"), **services(bad(2), name="b")})
    assert rig.asked == ["b"]
    rig.see(services(bad(1), name="a"))
    assert rig.reviews.value.problem_count == 1


@pytest.mark.parametrize("count", [1, 3])
async def test_it_follows_the_catalogue(count: int) -> None:
    rig = Rig()
    task = asyncio.create_task(rig.reviewer.run(lambda: None))
    try:
        for number in range(count):
            rig.catalog.set(Catalog(services(*map(bad, range(number + 1)))))
            await until(lambda wanted=number + 1: rig.reviews.value.problem_count == wanted, every=0)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
