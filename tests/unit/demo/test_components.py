"""Where a server's program is found, and in which order."""

from pathlib import Path

import pytest

from agent.demo import components, maven
from agent.runtime.errors import Permanent


def program(path: Path) -> Path:
    """Make an executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache and an empty PATH."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv("PILLION_BIN_CONSUL", raising=False)


def test_what_is_nowhere_must_be_obtained() -> None:
    assert components.find("consul") is None


def test_the_variable_wins_over_path_and_path_over_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = program(components.COMPONENTS["consul"].program)
    assert components.find("consul") == cached
    on_path = program(tmp_path / "path" / "consul")
    assert components.find("consul") == on_path
    chosen = program(tmp_path / "mine")
    monkeypatch.setenv("PILLION_BIN_CONSUL", str(chosen))
    assert components.find("consul") == chosen


def test_a_variable_that_names_no_program_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILLION_BIN_CONSUL", str(tmp_path / "nothing"))
    with pytest.raises(Permanent, match=r"PILLION_BIN_CONSUL is .*nothing"):
        components.find("consul")


def test_another_version_in_the_cache_does_not_count() -> None:
    program(components.cache() / "consul-1.0.0")
    assert components.find("consul") is None


def test_every_program_is_pinned_with_its_modules_files_or_two_check_sums() -> None:
    for component in components.COMPONENTS.values():
        if isinstance(component.how, components.GoProgram):
            pinned = components.data() / "servers" / (component.how.modules or component.name)
            assert "require" in (pinned / "go.mod").read_text()
            assert (pinned / "go.sum").read_text()
        elif isinstance(component.how, components.JavaProgram):
            files = maven.listed((components.data() / "servers" / component.name / "jars.sha256").read_text())
            assert all(len(digest) == 64 and path.endswith(".jar") for path, digest in files.items())
            assert any(component.version in path for path in files)
        else:
            assert "==" in component.how.requirement
            assert [len(digest) for digest in component.how.sha256] == [64, 64]
