"""Prometheus' own tool, and whole agents as the acceptance tests start them."""

import os
import subprocess
from collections.abc import Callable

import pytest

from agent.demo import components
from tests.acceptance.conftest import mesh

__all__ = ["mesh"]

Tool = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def promtool() -> Tool:
    """Runs promtool; without one the tests are skipped, or fail where everything is required."""
    found = components.find("promtool")
    if found is None:
        reason = "promtool was not obtained: run `make obtain`"
        pytest.fail(reason) if os.environ.get("PILLION_REQUIRE_ALL") else pytest.skip(reason)

    def run(*argv: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(found), *argv], input=given, capture_output=True, text=True, timeout=800, check=False
        )

    return run
