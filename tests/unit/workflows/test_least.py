"""What the workflows may do is little, and nobody outside says what they run."""

import re
from typing import Any

import pytest

from tests.unit.workflows.conftest import FILES, JOBS, SCRIPTS, STEPS, USES, WORKFLOWS

WRITES = {
    "release.yml/wheel": {"id-token", "attestations"},
    "release.yml/image": {"packages", "id-token"},
    "release.yml/charts": {"packages", "id-token"},
    "release.yml/pypi": {"id-token"},
    "release.yml/github": {"contents"},
}
"""The only jobs that may write anything, and what."""


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_no_permission_and_runs_beside_no_other_of_its_kind(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    groups = [one["concurrency"]["group"] for one in WORKFLOWS.values()]
    assert len(set(groups)) == len(groups), "a workflow that calls another would wait for itself"


@pytest.mark.parametrize(("name", "job"), JOBS.items(), ids=list(JOBS))
def test_a_job_has_the_permissions_that_it_needs_and_an_end(name: str, job: dict[str, Any]) -> None:
    granted = job["permissions"]
    assert {key for key, value in granted.items() if value == "write"} == WRITES.get(name, set())
    assert set(granted.values()) <= {"read", "write"}
    if "uses" not in job:
        assert 0 < job["timeout-minutes"] <= 60
        assert job["runs-on"] == "ubuntu-24.04"


def test_what_a_pull_request_starts_can_write_nothing_and_sees_no_secret() -> None:
    assert all("pull_request_target" not in one["on"] for one in WORKFLOWS.values())
    started = [name for name, one in WORKFLOWS.items() if "pull_request" in one["on"]]
    assert sorted(started) == ["ci.yml", "image.yml"]
    for path in FILES:
        assert path.name == "release.yml" or "secrets" not in re.findall(r"\${{ *(\w+)", path.read_text())


@pytest.mark.parametrize(("job", "script"), SCRIPTS)
def test_no_expression_becomes_part_of_a_script(job: str, script: str) -> None:
    assert "${{" not in script, f"{job}: give it as env, else its value is run"
    assert "toJSON" not in script


@pytest.mark.parametrize(("job", "used"), USES)
def test_an_action_is_pinned_by_commit(job: str, used: str) -> None:
    assert used.startswith("./") or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used), job


def test_each_pin_says_its_version_and_is_the_same_everywhere() -> None:
    text = "".join(path.read_text() for path in FILES)
    pins = re.findall(r"uses: ([\w./-]+)@([0-9a-f]{40})(.*)$", text, re.MULTILINE)
    assert len(pins) == sum(not used.startswith("./") for _, used in USES)
    assert all(re.fullmatch(r" # v\d+\.\d+\.\d+", said) for _, _, said in pins)
    assert len(set(pins)) == len({name for name, _, _ in pins})


def test_the_checkout_leaves_no_credential_behind_except_where_the_next_step_fetches() -> None:
    for job, step in STEPS:
        if str(step.get("uses", "")).startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is (job == "release.yml/verify"), job


def test_nothing_is_cached_in_a_release_beyond_the_checks() -> None:
    for job, step in STEPS:
        if job.startswith("release.yml/"):
            assert not str(step.get("uses", "")).startswith("actions/cache@")
            assert "cache" not in step.get("with", {})
