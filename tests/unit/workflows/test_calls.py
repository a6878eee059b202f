"""What the workflows call is there."""

import configparser
import os
import re
import shlex

from agent.cli import COMMANDS
from agent.demo.components import COMPONENTS
from tests.unit.workflows.conftest import JOBS, ROOT, SCRIPTS, STEPS, WORKFLOWS

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
OWN = [(job, line.strip()) for job, script in SCRIPTS for line in script.splitlines() if line.strip()]


def commands(program: str) -> list[list[str]]:
    """The words of each line that begins with a program."""
    found = [shlex.split(line) for _, line in OWN if line.split()[0] == program]
    assert found, f"no workflow calls {program}"
    return found


def test_every_make_target_that_is_called_exists() -> None:
    for words in commands("make"):
        targets = [word for word in words[1:] if "=" not in word]
        assert targets
        assert set(targets) <= TARGETS


def test_every_program_of_the_project_that_is_called_exists_and_can_be_run() -> None:
    called = {name for _, line in OWN for name in re.findall(r"(?<![\w/])\.ci/[\w-]+", line)}
    assert {".ci/run", ".ci/verify-tag", ".ci/base-digest", ".ci/changelog"} <= called
    for name in called:
        assert os.access(ROOT / name, os.X_OK), name


def test_every_command_of_pillion_and_every_component_that_is_called_for_exists() -> None:
    for _, verb, *rest in commands(".venv/bin/pillion"):
        assert verb in COMMANDS
        assert verb != "demo" or rest[0] == "--obtain"
        assert verb != "demo" or rest[1] in COMPONENTS


def test_every_folder_of_tests_that_is_run_exists() -> None:
    for words in commands(".venv/bin/python"):
        assert words[1:3] == ["-m", "pytest"]
        assert all((ROOT / word).exists() for word in words[3:])


def test_the_pythons_tried_are_those_that_the_package_names_and_the_oldest_that_it_takes() -> None:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    named = re.findall(r"Python :: (3\.\d+)$", setup["metadata"]["classifiers"], re.MULTILINE)
    tried = JOBS["ci.yml/tests"]["strategy"]["matrix"]["python"]
    assert tried == named
    assert setup["options"]["python_requires"] == f">={tried[0]}"


def test_the_build_arguments_of_the_image_are_the_dockerfiles() -> None:
    known = set(re.findall(r"^ARG (\w+)=", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    given = [
        {line.partition("=")[0] for line in step["with"]["build-args"].splitlines()}
        for _, step in STEPS
        if "build-args" in step.get("with", {})
    ]
    assert len(given) == 3
    assert all("PYTHON_DIGEST" in one and one <= known for one in given)


def test_what_the_servers_are_cached_by_is_there() -> None:
    keys = [str(step["with"]["key"]) for _, step in STEPS if "key" in step.get("with", {})]
    assert len(set(keys)) == 1, "a job would look for what no other keeps"
    patterns = re.findall(r"'([^']+)'", keys[0])
    assert patterns
    assert all(any(ROOT.glob(pattern)) for pattern in patterns)


def test_the_release_is_built_from_what_the_same_checks_have_passed() -> None:
    jobs = WORKFLOWS["release.yml"]["jobs"]
    assert jobs["checks"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["checks"]["needs"] == "verify"
    assert "workflow_call" in WORKFLOWS["ci.yml"]["on"]

    def behind(job: str) -> set[str]:
        needs = jobs[job].get("needs", [])
        direct = {needs} if isinstance(needs, str) else set(needs)
        return direct.union(*map(behind, direct))

    for job in set(jobs) - {"verify", "checks"}:
        assert {"verify", "checks"} <= behind(job), f"{job} would run before the tag is verified"
    assert {"wheel", "image", "charts"} <= behind("pypi"), "what can't be taken back comes last"


def test_the_release_packages_every_chart_and_nothing_else_of_their_folder() -> None:
    (script,) = (script for job, script in SCRIPTS if "helm package" in script)
    assert (
        'for chart in charts/*/Chart.yaml; do\n  helm package --destination packages "$(dirname "$chart")"'
        in script
    )
    assert {path.parent.name for path in ROOT.glob("charts/*/Chart.yaml")} == {
        "infrastructure",
        "pillion",
        "service",
    }
