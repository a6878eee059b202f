"""The hook for a service in another container: a folder that both see."""

import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent import carry
from agent.carry import copying

PROBE = """
import sys, urllib.request, http.client
import pillion_carry.hook
assert any("pillion_carry" in type(finder).__module__ for finder in sys.meta_path), sys.meta_path
print(pillion_carry.hook.__file__, http.client.__name__)
"""


def python(folder: Path, program: str = PROBE) -> subprocess.CompletedProcess[str]:
    """A Python that knows nothing of this project but the folder."""
    argv = [getattr(sys, "_base_executable", sys.executable), "-c", program]
    env = {"PYTHONPATH": str(folder), "PILLION_CARRY": "debug", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(argv, env=env, cwd="/", capture_output=True, text=True, check=False, timeout=30)


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def ours(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{copying.PREFIX}*"))


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The hook as a later version might be: one module more, one less, one that differs."""
    site = tmp_path / "newer"
    shutil.copytree(carry.SITE, site, ignore=shutil.ignore_patterns("__pycache__"))
    (site / "pillion_carry" / "later.py").write_text("WORD = 'later'\n")
    (site / "pillion_carry" / "greenlets.py").unlink()
    return site


def test_a_python_with_the_copy_on_its_path_has_the_hook(tmp_path: Path) -> None:
    target = tmp_path / "hook"
    copying.copy(target)
    result = python(target)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(str(target))


def test_nothing_but_the_hook_becomes_importable(tmp_path: Path) -> None:
    copying.copy(tmp_path / "hook")
    assert visible(tmp_path / "hook") == {"sitecustomize.py", "pillion_carry"}


def test_the_copy_can_be_read_by_every_user_whatever_the_umask(tmp_path: Path) -> None:
    former = os.umask(0o077)
    try:
        tmp_path.chmod(0o755)
        copying.copy(tmp_path / "hook")
    finally:
        os.umask(former)
    (folder,) = ours(tmp_path / "hook")
    entries = [folder, *folder.rglob("*")]
    assert len(entries) > 10
    for entry in entries:
        wanted = 0o755 if entry.is_dir() else 0o644
        assert stat.S_IMODE(entry.stat().st_mode) == wanted, entry


def test_the_copy_works_where_the_folder_is_mounted_elsewhere(tmp_path: Path) -> None:
    copying.copy(tmp_path / "hook")
    (tmp_path / "hook").rename(tmp_path / "mounted")
    assert python(tmp_path / "mounted").returncode == 0


def test_an_equal_copy_is_left_alone(tmp_path: Path) -> None:
    copying.copy(tmp_path)
    before = ours(tmp_path)
    copying.copy(tmp_path)
    assert ours(tmp_path) == before


def test_a_newer_hook_replaces_the_former_and_leaves_nothing_of_it(tmp_path: Path, newer: Path) -> None:
    target = tmp_path / "hook"
    copying.copy(target)
    former = ours(target)
    (target / "others.txt").write_text("stays")
    (target / f"{copying.PREFIX}half").mkdir()
    (target / f"{copying.PREFIX}link").symlink_to("nowhere")
    copying.copy(target, newer)
    (now,) = ours(target)
    assert now not in former
    assert python(target, "import pillion_carry.later as x; print(x.WORD)").stdout == "later\n"
    assert not (target / "pillion_carry" / "greenlets.py").exists()
    assert visible(target) == {"sitecustomize.py", "pillion_carry", "others.txt"}


@pytest.mark.parametrize("damage", ["changed", "missing", "dangling"])
def test_a_damaged_copy_is_made_anew(tmp_path: Path, damage: str) -> None:
    copying.copy(tmp_path)
    match damage:
        case "changed":
            (tmp_path / "pillion_carry" / "hook.py").write_text("raise SystemExit(9)")
        case "missing":
            (tmp_path / "pillion_carry" / "hook.py").unlink()
        case "dangling":
            shutil.rmtree(ours(tmp_path)[0])
    copying.copy(tmp_path)
    assert python(tmp_path).returncode == 0
    assert len(ours(tmp_path)) == 1


def test_a_copy_that_was_made_by_hand_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "hook"
    shutil.copytree(carry.SITE, target)
    (target / "pillion_carry" / "hook.py").write_text("raise SystemExit(9)")
    copying.copy(target)
    assert python(target).returncode == 0
    assert len(ours(target)) == 1


def test_a_package_is_never_seen_in_parts_while_it_is_replaced(tmp_path: Path, newer: Path) -> None:
    """What is found below the package at any moment is one of the two versions, whole."""
    target = tmp_path / "hook"
    copying.copy(target)
    wholes = [{path.name for path in (site / "pillion_carry").glob("*.py")} for site in (carry.SITE, newer)]
    seen, done = [], threading.Event()

    def look() -> None:
        while not done.is_set():
            descriptor = os.open(target / "pillion_carry", os.O_RDONLY | os.O_DIRECTORY)
            folder = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            with os.scandir(descriptor) as entries:
                found = {entry.name for entry in entries if entry.name.endswith(".py")}
            os.close(descriptor)
            # One that was just put away may be gone in parts: who has it open reads from memory by then.
            if os.path.realpath(target / "pillion_carry") == folder:
                seen.append(found)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        rounds = 0
        # The other thread looks when it gets its turn.
        while rounds < 30 or (len(seen) <= 30 and thread.is_alive()):
            copying.copy(target, newer)
            copying.copy(target)
            rounds += 1
    finally:
        done.set()
        thread.join()
    assert len(seen) > 30
    assert all(found in wholes for found in seen)


def test_two_agents_do_not_copy_at_once(tmp_path: Path) -> None:
    with copying._alone(tmp_path), pytest.raises(BlockingIOError):
        copying.copy(tmp_path)
    copying.copy(tmp_path)


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("")
    with pytest.raises(OSError, match="exists"):
        copying.copy(tmp_path / "hook")
