"""How Envoy is started."""

from pathlib import Path

import pytest

from agent.proxy.command import Command, find, hold
from agent.runtime.errors import Misconfigured, Permanent


def executable(path: Path) -> Path:
    """A file that can be run."""
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_arguments_drain_at_once_and_refuse_unknown_fields() -> None:
    argv = Command(Path("/e"), Path("/b.json"), 3, 0.2).argv
    assert argv[:3] == ["/e", "--config-path", "/b.json"]
    text = " ".join(argv)
    assert "--concurrency 3" in text
    assert "--drain-strategy immediate --drain-time-s 1" in text
    assert "--reject-unknown-dynamic-fields" in text


def test_the_setting_comes_before_path_and_path_before_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    on_path = executable(tmp_path / "bin" / "envoy")
    chosen, cached = executable(tmp_path / "mine"), tmp_path / "cached"
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find(str(chosen), lambda: cached) == chosen
    assert find("", lambda: cached) == on_path
    monkeypatch.setenv("PATH", "")
    assert find("", lambda: cached) == cached


def test_a_missing_envoy_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Misconfigured, match="demo --obtain"):
        find("", lambda: None)
    with pytest.raises(Misconfigured, match="is no file"):
        find(str(tmp_path), lambda: None)
    (tmp_path / "envoy").touch(0o644)
    with pytest.raises(Misconfigured, match="may not be executed"):
        find(str(tmp_path / "envoy"), lambda: None)


def test_a_folder_is_held_by_one_agent_until_it_lets_go(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with hold(lock), pytest.raises(Permanent, match=r"state\.dir"), hold(lock):
        pass
    with hold(lock):
        pass
