"""What an alert rule is."""

import enum
from dataclasses import dataclass


class Severity(enum.StrEnum):
    """How soon somebody should look."""

    CRITICAL = "critical"
    """Requests or events of users fail or stand still: now."""
    WARNING = "warning"
    """Something is lost that would be needed for the next failure, or somebody has made a mistake: today."""


@dataclass(frozen=True)
class Rule:
    """It fires where one of ``values`` compares as ``holds`` says, all of the time ``wait``."""

    name: str
    values: tuple[str, ...]
    """PromQL without the comparison: each has data while all is well, too."""
    holds: str
    """Such as ``> 0``."""
    wait: str
    severity: Severity
    summary: str
    """One line with the labels of what it is about."""
    description: str
    """What it means."""
    do: str
    """What to do, as an imperative sentence."""
    why: str
    """The reason for threshold and time."""
    only: str = ""
    """A further condition, from ``and`` or ``unless`` on."""
    shown: str = ""
    """What has data while all is well, where ``values`` have none."""

    @property
    def expr(self) -> str:
        """The whole expression."""
        joined = " or ".join(f"{value} {self.holds}".strip() for value in self.values)
        return (
            f"({joined}) {self.only}"
            if self.only and len(self.values) > 1
            else f"{joined} {self.only}".strip()
        )

    @property
    def data(self) -> str:
        """What returns something wherever the rule can ever fire."""
        return self.shown or " or ".join(self.values)


def on(labels: str) -> str:
    """The labels of an alert, as its texts show them: ``job, service`` as a template."""
    return " ".join(
        "{{ $labels." + label.strip() + " }}" for label in labels.split(",") if label.strip() != "job"
    )
