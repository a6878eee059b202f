"""Hostile catalogues and settings shown to `envoy --mode validate`; PILLION_EXAMPLES says how many."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.demo import backing
from agent.proxy import assets
from agent.proxy.bootstrap import Node, bootstrap
from agent.proxy.planner import plan, plan_gateway, static_bootstrap
from agent.proxy.snapshot import Snapshot
from tests import hostile

FRAGMENTS = assets.load()
HOSTS = ("host.example", "fe80::1", ".*(")


def refusal(snapshot: Snapshot, otlp: str) -> str:
    """What Envoy has against the snapshot; empty when it takes it."""
    with tempfile.TemporaryDirectory(prefix="plan") as name:
        folder = Path(name)
        boot = bootstrap(
            FRAGMENTS.copy("bootstrap"),
            node=Node("test", "test"),
            admin=folder / "a",
            xds=folder / "x",
            otlp=otlp,
        )
        file = folder / "envoy.json"
        file.write_text(json.dumps(static_bootstrap(snapshot, boot)))
        argv = [backing.binary("envoy"), "--mode", "validate", "-c", str(file), "--log-level", "warning"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}" or "no word"


@hostile.properties(hostile.EXAMPLES)
@given(hostile.answers, hostile.documents(15006, 15001, 10000), st.booleans())
def test_envoy_takes_whatever_is_planned_from_hostile_input(
    answers: dict[str, list[Any]], document: dict[str, Any], door: bool
) -> None:
    chosen = hostile.taken(document)
    if chosen is None:
        return
    catalog = hostile.catalogue(answers)
    snapshot = plan_gateway(chosen, catalog, FRAGMENTS) if door else plan(chosen, catalog, FRAGMENTS, HOSTS)
    assert refusal(snapshot, chosen.tracing.endpoint) == ""
