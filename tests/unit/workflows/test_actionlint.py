"""What actionlint says of the workflows, with shellcheck where that is there."""

import os
import subprocess
from pathlib import Path

import pytest

from agent.demo import components
from tests.unit.workflows.conftest import FILES, ROOT


@pytest.fixture(scope="module")
def actionlint() -> str:
    """actionlint's program; without one the tests are skipped, or fail where everything is required."""
    found = components.find("actionlint")
    if found is None:
        reason = "actionlint was not obtained: run `make obtain`"
        pytest.fail(reason) if os.environ.get("PILLION_REQUIRE_ALL") else pytest.skip(reason)
    return str(found)


def lint(program: str, *files: Path) -> subprocess.CompletedProcess[str]:
    """Its findings, one a line."""
    return subprocess.run(
        [program, "-oneline", "-no-color", *map(str, files)],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=60,
    )  # fmt: skip


def test_actionlint_finds_nothing(actionlint: str) -> None:
    done = lint(actionlint, *FILES)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_actionlint_would_find_a_job_that_is_not_there(actionlint: str, tmp_path: Path) -> None:
    wrong = tmp_path / "release.yml"
    wrong.write_text((FILES[-1]).read_text().replace("needs: verify", "needs: verified"))
    done = lint(actionlint, wrong)
    assert done.returncode == 1
    assert "verified" in done.stdout
