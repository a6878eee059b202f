"""A secret's file changes while the agent runs."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.secret import SETTLED, Secret
from agent.config.sections.registry import Registry
from agent.runtime.errors import Transient

KEY = "registry.token"
LATER = time.time() + 3600


def later() -> float:
    """A clock by which every file stood still for long."""
    return LATER


def secret(file: Path, value: str = "first", now: Callable[[], float] = later) -> Secret:
    return Secret(KEY, value, str(file), now=now)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("first\n")
    return tmp_path / "token"


def replace(file: Path, text: str) -> None:
    """As an editor or an agent of Vault does it: write beside, rename."""
    beside = file.with_name("beside")
    beside.write_text(text)
    beside.replace(file)


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


@pytest.mark.parametrize("change", [replace, rewrite])
def test_a_changed_file_is_the_new_value(file: Path, change: Callable[[Path, str], None]) -> None:
    found = secret(file)
    assert (found.read(), found.version) == ("first", 1)
    change(file, "other\nmore\n")
    assert (found.read(), found.version, found.problem) == ("other", 2, "")
    assert (found.read(), found.version) == ("other", 2)


def test_a_change_of_the_same_size_with_the_old_times_is_seen(file: Path) -> None:
    found = secret(file)
    found.read()
    before = file.stat()
    while file.stat().st_ctime_ns == before.st_ctime_ns:  # a kernel's clock for files may go in steps
        file.write_text("thing\n")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert found.read() == "thing"


def test_the_switch_of_kubernetes_link_is_seen(tmp_path: Path) -> None:
    """A volume's files are links through ``..data``, which leads to another folder after a change."""
    for folder, text in (("..one", "first"), ("..two", "other")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "token").write_text(text)
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "token").symlink_to("..data/token")
    found = secret(tmp_path / "token")
    assert found.read() == "first"
    (tmp_path / "..new").symlink_to("..two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    (tmp_path / "..one" / "token").unlink()
    assert found.read() == "other"


@pytest.mark.parametrize("text", ["", "\n", "  \nx", "\x00\x01", None])
def test_what_is_no_value_leaves_the_last_good_one_in_use_and_is_told(file: Path, text: str | None) -> None:
    found = secret(file)
    found.read()
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    assert found.read() == "first"
    assert found.version == 1
    assert f"registry.token_file names {file}, which" in found.problem
    assert "the last good value stays in use" in found.problem
    replace(file, "other")
    assert (found.read(), found.problem) == ("other", "")


def test_bytes_that_are_no_text_leave_the_last_good_value_in_use(file: Path) -> None:
    found = secret(file)
    file.write_bytes(b"\xff\xfehunter2")
    assert found.read() == "first"
    assert "UTF-8" in found.problem
    assert "hunter2" not in found.problem


def test_a_file_that_comes_back_unchanged_is_well_again(tmp_path: Path) -> None:
    """As with a volume that was away: nothing tells the file from what it was."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "token").write_text("first")
    found = secret(tmp_path / "volume" / "token")
    found.read()
    (tmp_path / "volume").rename(tmp_path / "away")
    found.read()
    assert found.problem
    (tmp_path / "away").rename(tmp_path / "volume")
    assert (found.read(), found.problem) == ("first", "")


def test_a_file_that_is_being_written_is_waited_for(file: Path) -> None:
    """Half of a password is a text like any other: only that the file stands still tells the whole."""
    now = [later()]
    found = secret(file, now=lambda: now[0])
    found.read()
    file.write_text("half")
    changed = file.stat().st_ctime_ns / 1e9
    now[0] = changed + SETTLED * 0.9
    assert found.read() == "first"
    file.write_text("half and the rest")
    changed = file.stat().st_ctime_ns / 1e9
    now[0] = changed + SETTLED * 1.1
    assert found.read() == "half and the rest"


def test_a_clock_that_is_behind_the_file_s_keeps_no_value_away(file: Path) -> None:
    found = secret(file, now=lambda: 0.0)
    replace(file, "other")
    assert found.read() == "other"


def test_a_file_that_never_held_a_value_is_not_taken_for_none(tmp_path: Path) -> None:
    found = Secret(KEY, "", str(tmp_path / "token"))
    assert found.version == 0
    with pytest.raises(Transient, match=r"registry\.token_file names .*, which can't be read"):
        found.read()
    (tmp_path / "token").write_text("first")
    assert (found.read(), found.version) == ("first", 1)


def test_a_secret_without_a_file_stays_as_it_was_given() -> None:
    found = Secret.of(Registry(token=" hunter2 "), KEY)
    assert (found.read(), found.version, found.from_file) == ("hunter2", 1, False)
    none = Secret.of(Registry(), KEY)
    assert (none.read(), none.version) == ("", 0)


def test_a_secret_is_never_shown(file: Path) -> None:
    found = secret(file, value="hunter2")
    assert "hunter2" not in f"{found} {found!r} {[found]}"
