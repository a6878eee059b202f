"""The health board: what each component says of itself, read by the admin API."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


class State(enum.StrEnum):
    """How a component fares."""

    STARTING = "starting"
    OK = "ok"
    DEGRADED = "degraded"
    """It runs and goes on trying, but something that it needs is missing."""
    STOPPED = "stopped"


@dataclass(frozen=True)
class Report:
    """A component's newest word about itself."""

    state: State
    detail: str
    """One sentence for an operator; empty when all is well."""
    since: float
    """When the state was entered, in seconds of the board's clock."""


class Health:
    """A component's pen on the board; repeating a report does not change its ``since``."""

    def __init__(self, write: Callable[[State, str], None]) -> None:
        self._write = write

    def ok(self, detail: str = "") -> None:
        """All is well."""
        self._write(State.OK, detail)

    def degraded(self, detail: str) -> None:
        """The component runs, but something that it needs is missing; ``detail`` says what and what to do."""
        self._write(State.DEGRADED, detail)

    def stopped(self) -> None:
        """The component ended in order."""
        self._write(State.STOPPED, "")


class Board:
    """All components' reports. ``clock`` returns seconds; wall-clock time in production."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._reports: dict[str, Report] = {}

    def of(self, name: str) -> Health:
        """The pen of one component, which starts as ``starting``."""
        self._put(name, State.STARTING, "")
        return Health(lambda state, detail: self._put(name, state, detail))

    @property
    def reports(self) -> Mapping[str, Report]:
        """A read-only view of the newest reports by component name, in order of first appearance."""
        return MappingProxyType(self._reports)

    def _put(self, name: str, state: State, detail: str) -> None:
        before = self._reports.get(name)
        since = before.since if before is not None and before.state is state else self._clock()
        self._reports[name] = Report(state, detail, since)
