"""The order of PYTHONPATH behind a launcher with a sitecustomize of its own."""

import os
import types

import pytest

from tests.unit.carry.conftest import Hook


def test_our_folder_comes_back_to_the_front(hook: Hook) -> None:
    ours = hook.launchers.SITE
    assert hook.launchers.in_front(f"/theirs:/here:{ours}:/more") == f"{ours}:/theirs:/here:/more"


@pytest.mark.parametrize("path", ["", "/theirs:/here"])
def test_a_path_without_our_folder_stays(hook: Hook, path: str) -> None:
    assert hook.launchers.in_front(path) == path


def test_the_launcher_becomes_the_service_with_that_path(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    module = types.SimpleNamespace(execl=lambda *args: seen.extend([args, os.environ["PYTHONPATH"]]))
    monkeypatch.setenv("PYTHONPATH", f"/theirs:{hook.launchers.SITE}")
    hook.launchers.patch(module)
    module.execl("/bin/python", "python", "app.py")
    assert seen == [("/bin/python", "python", "app.py"), f"{hook.launchers.SITE}:/theirs"]
