"""Whole plans, as they were looked at and found right. ``pytest --update-golden`` rewrites them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.proxy import assets
from agent.proxy.planner import plan, plan_gateway
from agent.proxy.snapshot import Snapshot
from tests.unit.proxy.planner import sample

GOLDEN = Path(__file__).parent / "golden"
CASES: dict[str, Mapping[str, Any]] = {"plain": {}, "rich": sample.RICH}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["sidecar", "gateway"])
def test_a_plan_is_what_it_was(name: str, kind: str, request: pytest.FixtureRequest) -> None:
    settings = sample.settings(CASES[name])
    if kind == "sidecar":
        snapshot = plan(settings, sample.CATALOG, assets.load(), ("host.example",))
    else:
        snapshot = plan_gateway(settings, sample.CATALOG, assets.load())
    file = GOLDEN / f"{kind}-{name}.json"
    text = written(snapshot)
    if request.config.getoption("--update-golden"):
        file.write_text(text)
    assert text == file.read_text(), "a plan changed: look at it, then run pytest --update-golden"


def written(snapshot: Snapshot) -> str:
    """The snapshot as text in which a line is one thing."""
    parts = ("clusters", "endpoints", "listeners", "routes")
    return (
        json.dumps({part: dict(getattr(snapshot, part)) for part in parts}, indent=1, sort_keys=True) + "\n"
    )
