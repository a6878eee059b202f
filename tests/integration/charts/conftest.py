"""Helm, or a skip where it was not obtained."""

import os

import pytest

from agent.demo import components
from tests.integration.charts.rendering import Helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Without Helm the tests are skipped, or fail where everything is required."""
    found = components.find("helm")
    if found is None:
        reason = "Helm was not obtained: run `make obtain`"
        pytest.fail(reason) if os.environ.get("PILLION_REQUIRE_ALL") else pytest.skip(reason)
    return Helm(str(found))
