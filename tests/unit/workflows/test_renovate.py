"""What Renovate is told to look at is there, and everything that pins a version is looked at."""

import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.demo.components import COMPONENTS, Wheel
from tests.unit.workflows.conftest import ROOT

CONFIG: dict[str, Any] = json.loads((ROOT / ".github" / "renovate.json").read_text())
CUSTOM = CONFIG["customManagers"]
TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()


def looked_at(patterns: list[str]) -> set[str]:
    """The files of the repository that patterns such as /^Dockerfile$/ match."""
    assert all(pattern.startswith("/") and pattern.endswith("/") for pattern in patterns)
    return {name for name in TRACKED if any(re.search(pattern[1:-1], name) for pattern in patterns)}


def found(manager: dict[str, Any]) -> dict[str, str]:
    """What a custom manager finds: version by name."""
    (name,) = looked_at(manager["managerFilePatterns"])
    (pattern,) = (text.replace("(?<", "(?P<") for text in manager["matchStrings"])
    matches = list(re.finditer(pattern, Path(ROOT / name).read_text()))
    default = manager.get("depNameTemplate", "")
    return {one.groupdict().get("depName", default): one["currentValue"] for one in matches}


@pytest.mark.parametrize("manager", ["pip_requirements", "docker-compose", "helm-values"])
def test_each_manager_has_files_to_look_at(manager: str) -> None:
    assert looked_at(CONFIG[manager]["managerFilePatterns"])


def test_every_lock_file_is_looked_at() -> None:
    texts = (name for name in TRACKED if name.endswith(".txt") and (ROOT / name).exists())
    locks = {name for name in texts if "--hash=" in (ROOT / name).read_text()}
    assert locks
    assert locks <= looked_at(CONFIG["pip_requirements"]["managerFilePatterns"])


def test_every_wheel_of_the_table_is_found_with_its_version() -> None:
    wheels = [one.how.requirement for one in COMPONENTS.values() if isinstance(one.how, Wheel)]
    assert {f"{name}=={version}" for name, version in found(CUSTOM[0]).items()} == set(wheels)


def test_every_go_program_is_found_whose_version_is_that_of_its_module() -> None:
    modules = [path.read_text().split() for path in ROOT.glob("compose/servers/*/go.mod")]
    here = found(CUSTOM[1])
    assert set(here) == {
        "github.com/hashicorp/consul",
        "helm.sh/helm/v3",
        "github.com/rhysd/actionlint",
        "github.com/prometheus/alertmanager",
        "github.com/docker/compose/v2",
    }
    for name, version in here.items():
        assert any((name, f"v{version}") in pairwise(words) for words in modules), name


def test_the_base_of_the_image_is_found() -> None:
    version = found(CUSTOM[2])["python"]
    assert re.fullmatch(r"3\.\d+-slim-\w+", version)
