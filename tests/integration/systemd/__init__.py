"""The unit of docs/vm: what systemd's own tools say of it, and Pillion running under its filters."""

import os
import shutil
from pathlib import Path

import pytest

VM = Path(__file__).parents[3] / "docs" / "vm"
UNIT = VM / "pillion@.service"


def analyze() -> str:
    """The program systemd-analyze; where only the system's package manager brings it, the test is skipped, or
    fails where everything is required.
    """
    found = shutil.which("systemd-analyze")
    if found is None:
        reason = "systemd-analyze is missing: install systemd, for instance with apt-get install systemd"
        pytest.fail(reason) if os.environ.get("PILLION_REQUIRE_ALL") else pytest.skip(reason)
    return found
