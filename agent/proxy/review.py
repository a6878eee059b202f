"""A review of each catalogue: what a plan leaves out of it and why, for status, metrics and log."""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from agent.model.catalog import Catalog, Service
from agent.model.review import Review
from agent.proxy.metrics import Metrics
from agent.runtime.component import Ready
from agent.runtime.health import Health
from agent.runtime.latest import Latest

log = structlog.get_logger(__name__)

SHOWN = 50
"""Sentences of each kind in the status."""
LONGEST = 300
"""Characters of a sentence; ids and paths come from others."""
LINES = 20
"""Lines that one review may write into the log."""
REMEMBERED = 2000
"""Sentences that are known to be in the log; the oldest are forgotten, and may be told again."""

Find = Callable[[Catalog], tuple[str, ...]]
"""(catalogue) → a sentence for each thing; pure."""


class Reviewer:
    """Looks at the newest catalogue, at most once every ``pause`` seconds.

    ``problems`` is asked for each service by itself, and only for those that changed. ``conflicts`` is asked for all
    together; None for an agent to which routes mean nothing."""

    name = "review"
    stop_budget = 1.0

    def __init__(
        self,
        catalog: Latest[Catalog],
        reviews: Latest[Review],
        problems: Find,
        conflicts: Find | None,
        *,
        health: Health,
        metrics: Metrics,
        pause: float = 1.0,
    ) -> None:
        self._catalog = catalog
        self._reviews = reviews
        self._problems = problems
        self._conflicts = conflicts
        self._health = health
        self._metrics = metrics
        self._pause = pause
        self._services: Mapping[str, Service] = {}
        self._found: dict[str, tuple[str, ...]] = {}
        """Problems by service."""
        self._told: dict[str, None] = {}

    async def run(self, ready: Ready) -> None:
        """Review what is there, then every change."""
        while True:
            version = self._catalog.version
            self.turn()
            ready()
            await self._catalog.changed(version)
            await asyncio.sleep(self._pause)

    def turn(self) -> None:
        """Review the present catalogue."""
        catalog = self._catalog.value
        problems = self._find(catalog)
        conflicts = self._conflicts(catalog) if self._conflicts else ()
        review = Review(_few(problems), len(problems), _few(conflicts), len(conflicts))
        self._reviews.set(review)
        self._metrics.left_out.set(review.problem_count)
        self._metrics.conflicts.set(review.conflict_count)
        self._log([*problems, *conflicts])
        self._report(review)

    def _find(self, catalog: Catalog) -> list[str]:
        before, self._services = self._services, catalog.services
        found = {}
        for name, service in catalog.services.items():
            if name in self._found and before.get(name) == service:
                found[name] = self._found[name]
            else:
                found[name] = self._problems(Catalog({name: service}))
        self._found = found
        return [sentence for name in sorted(found) for sentence in found[name]]

    def _log(self, sentences: list[str]) -> None:
        new = [one for one in dict.fromkeys(map(_cut, sentences)) if one not in self._told]
        for one in new[:LINES]:
            log.warning("plan.left_out", reason=one)
        if len(new) > LINES:
            log.warning("plan.left_out", reason=f"and {len(new) - LINES} more; see pillion status")
        self._told |= dict.fromkeys(new)
        for one in list(self._told)[: max(0, len(self._told) - REMEMBERED)]:
            del self._told[one]

    def _report(self, review: Review) -> None:
        parts = [
            _counted(review.problem_count, "thing", "of the registry left out", review.problems),
            _counted(review.conflict_count, "path prefix", "wanted by several services", review.conflicts),
        ]
        detail = " ".join(filter(None, parts))
        if detail:
            self._health.degraded(detail)
        else:
            self._health.ok()


def _counted(count: int, noun: str, words: str, sentences: tuple[str, ...]) -> str:
    if not count:
        return ""
    many = noun if count == 1 else f"{noun}es" if noun.endswith("x") else f"{noun}s"
    return f"{count} {many} {words}, such as: {sentences[0]}"


def _few(sentences: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_cut, sentences[:SHOWN]))


def _cut(sentence: str) -> str:
    return sentence if len(sentence) <= LONGEST else f"{sentence[:LONGEST]}…"
