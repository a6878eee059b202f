"""What was measured, with the figure to reach, as a table and JSON."""

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

REPORT = Path("build/bench-outbox.json")


@dataclass
class Figures:
    """Figures, printed as they come."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    """What the bench of relays printed of each of its runs."""

    def note(
        self, what: str, value: float, unit: str, target: float | None = None,
        least: Literal["least", "most"] = "most",
    ) -> None:  # fmt: skip
        """One figure; ``target`` is the most, or the least, that it may be."""
        met = None if target is None else value <= target if least == "most" else value >= target
        self.rows.append({"what": what, "value": round(value, 5), "unit": unit, "target": target, "met": met})
        wanted = "" if target is None else f"  (at {least} {target:g}: {'met' if met else 'MISSED'})"
        text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        sys.stdout.write(f"  {what:<62}{text:>10} {unit}{wanted}\n")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """A line between them."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def write(self) -> None:
        """Keep them, with how busy the machine was."""
        REPORT.parent.mkdir(exist_ok=True)
        load = os.getloadavg()
        about = {"load": load, "cores": os.cpu_count(), "figures": self.rows, "runs": self.runs}
        REPORT.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        self.say(f"load average now {load[0]:.2f} on {os.cpu_count()} cores; {REPORT}")
