"""The table of errors is whole: each place that refuses what a person wrote is reached by one of its cases."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.integration.cli.provoke import ends, place, table

ROOT = Path(__file__).parents[3]
FILES = (
    *(ROOT / "agent" / "cli").glob("*.py"),
    *(ROOT / "agent" / "config").rglob("*.py"),
    ROOT / "agent" / "wiring" / "drivers.py",
    ROOT / "agent" / "wiring" / "gateway_given.py",
)
REFUSING = frozenset({"Finding", "refuse", "refuse_value"})

ELSEWHERE = {
    "agent/cli/__init__.py": {"raise": "a defect in the installation, told as one"},
    "agent/cli/bottlenecks.py": {
        "has no trace of": "a Jaeger without spans: integration/tracing/test_commands"
    },
    "agent/cli/demo.py": {"raise": "Ctrl-C: acceptance/test_demo"},
    "agent/cli/drain.py": {
        "draining failed": "a running agent: integration/admin/test_commands",
        "still in flight": "a running agent: integration/admin/test_commands",
    },
    "agent/cli/envoy.py": {"which can't be read": "a file that only root may read; tests may run as root"},
    "agent/cli/explain.py": {
        "can't tell": "an older agent: integration/admin/test_explain",
        "is no Pillion agent": "JSON that is no agent's",
    },
    "agent/cli/launch.py": {"may not write": "a folder of another user; tests may run as root"},
    "agent/cli/trace.py": {
        "was not sampled, as": "a Jaeger without that trace: integration/tracing/test_commands",
        "has no trace of": "a Jaeger without that trace: integration/tracing/test_commands",
    },
    "agent/config/disk.py": {"1 MiB": "size: unit/config/test_sources"},
    "agent/config/document.py": {
        "is longer than": "size: unit/config/test_document",
        "holds characters": "unit/config/test_document",
    },
    "agent/config/secret.py": {
        "self.problem": "a file that goes while an agent runs: unit/config/test_secret",
        "control character": "unit/config/test_secret",
    },
    "agent/config/shapes.py": {"TypeError": "a declaration, not a setting"},
    "agent/config/sharing.py": {
        "does not belong": "a user that is not root: unit/config/test_sharing",
        "let into": "a folder of another user",
    },
    "agent/config/sources.py": {"do not fit their declaration": "a defect in a declaration"},
    "agent/config/values.py": {
        "half a character": "unit/config/test_hostile",
        "entries": "size: unit/config/test_hostile",
    },
}
"""By file: a part of the statement, and why no case of the table reaches it, or what does."""
OVER_THE_NETWORK = {"agent/config/live.py"}
"""What is refused of Consul's KV, not of the command line."""


def _places() -> Iterator[tuple[str, int, int, str]]:
    """File, first and last line, and text of each statement that refuses."""
    for path in FILES:
        name = str(path.relative_to(ROOT))
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if name not in OVER_THE_NETWORK else ():
            if isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and _refuses(node.value)):
                before = "\n".join(text.splitlines()[max(0, node.lineno - 4) : node.end_lineno])
                yield name, node.lineno, node.end_lineno or node.lineno, before


def _refuses(value: ast.expr) -> bool:
    call = value.value if isinstance(value, ast.Yield) else value
    if not isinstance(call, ast.Call):
        return False
    return getattr(call.func, "id", getattr(call.func, "attr", "")) in REFUSING


class Lines:
    """Which lines of the files ran."""

    def __init__(self) -> None:
        self._names = {str(path): str(path.relative_to(ROOT)) for path in FILES}
        self.ran: set[tuple[str, int]] = set()

    def trace(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        name = self._names.get(frame.f_code.co_filename)
        if name is None:
            return None
        self.ran.add((name, frame.f_lineno))
        return self.trace


@pytest.mark.timeout(900)  # every case under a tracer: half a minute where nothing else runs
@pytest.mark.usefixtures("capfd")
def test_each_place_that_refuses_is_reached_by_a_case(short_folder: Path) -> None:
    lines = Lines()
    former = sys.gettrace()
    with place(short_folder) as where:
        for case in table()["cases"]:
            with pytest.MonkeyPatch.context() as patch:
                sys.settrace(lines.trace)
                try:
                    ends(case, where, patch)
                finally:
                    sys.settrace(former)
    missed = [
        f"{name}:{first}"
        for name, first, last, text in _places()
        if not any((name, line) in lines.ran for line in range(first, last + 1))
        and not any(part in text for part in ELSEWHERE.get(name, {}))
    ]
    assert missed == []
