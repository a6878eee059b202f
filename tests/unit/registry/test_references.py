"""Values that say where a secret is."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.secret import SETTLED
from agent.registry import environment
from agent.registry.references import MOST, References

LATER = time.time() + 3600


def later() -> float:
    """A clock by which every file stood still for long."""
    return LATER


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    return tmp_path / "secrets"


def made(folder: Path, now: Callable[[], float] = later, **more) -> References:
    return References([str(folder)], now=now, **more)


def replace(file: Path, text: str) -> None:
    """As Vault Agent does it: write beside, rename."""
    beside = file.with_name("beside")
    beside.write_text(text)
    beside.replace(file)


def volume(folder: Path, text: str) -> None:
    """As the kubelet does it for Secrets, and the CSI driver by the same code: a new folder, then ``..data``."""
    new = folder / f"..{text.strip()}"
    new.mkdir()
    (new / "password").write_text(text)
    (folder / "..new").symlink_to(new.name)
    (folder / "..new").replace(folder / "..data")
    if not (folder / "password").is_symlink():
        (folder / "password").symlink_to("..data/password")


def test_a_file_stands_for_what_it_holds_without_its_last_line_end(folder: Path) -> None:
    (folder / "password").write_text("first\nsecond\n")
    assert made(folder).text(f"file:{folder}/password") == "first\nsecond"
    assert made(folder).text(f"file:{folder}/password\n") == "first\nsecond"


def test_other_values_are_their_own_text(folder: Path) -> None:
    references = made(folder, variables={"DSN": "x"})
    for text in (
        "",
        "5",
        "file:",
        "file:data.db",
        "file:///data.db",
        "env:",
        "env:a b",
        "see file:/x",
        "a\nfile:/x",
    ):
        assert references.text(text) == text
    assert not references.follows


def test_without_a_list_of_the_operator_every_value_is_its_own_text() -> None:
    assert References().text("file:/etc/passwd") == "file:/etc/passwd"
    assert References().text("env:HOME") == "env:HOME"


def test_a_variable_must_be_listed_and_set(folder: Path) -> None:
    references = made(folder, variables={"DSN": "postgresql://u:p@h/d"})
    assert references.text("env:DSN") == "postgresql://u:p@h/d"
    with pytest.raises(ValueError, match="refers to the variable HOME, which is not set or not among"):
        references.text("env:HOME")
    with pytest.raises(ValueError, match="which is not set or not among"):
        made(folder).text("env:HOME")


@pytest.mark.parametrize("change", [replace, Path.write_text])
def test_a_changed_file_is_the_new_value(folder: Path, change: Callable[[Path, str], None]) -> None:
    file = folder / "password"
    file.write_text("first")
    references = made(folder)
    assert references.text(f"file:{file}") == "first"
    change(file, "other\n")
    assert references.text(f"file:{file}") == "other"


def test_the_switch_of_kubernetes_link_is_seen(folder: Path) -> None:
    volume(folder, "first")
    references = made(folder)
    assert references.text(f"file:{folder}/password") == "first"
    volume(folder, "other")
    assert references.text(f"file:{folder}/password") == "other"


@pytest.mark.parametrize("text", ["", "\n", None, b"\xff\xfe", "a\0b", "x" * (environment.LONGEST + 1)])
def test_what_is_no_value_leaves_the_last_one_in_use_and_is_told(folder: Path, text: object) -> None:
    file = folder / "password"
    file.write_text("first")
    references = made(folder)
    value = f"file:{file}"
    references.text(value)
    if text is None:
        file.unlink()
    else:
        file.write_bytes(text if isinstance(text, bytes) else str(text).encode())
    assert references.text(value) == "first"
    (told,) = references.keep([value])
    assert told.startswith(f"{file} ")
    assert told.endswith("; what it held last stays in use")
    replace(file, "other")
    assert references.text(value) == "other"
    assert references.keep([value]) == ()


def test_a_file_that_is_being_written_does_not_replace_a_good_value(folder: Path) -> None:
    file, clock = folder / "password", [LATER]
    file.write_text("first")
    references = made(folder, now=lambda: clock[0])
    references.text(f"file:{file}")
    file.write_text("ot")
    clock[0] = file.stat().st_ctime + SETTLED / 2
    assert references.text(f"file:{file}") == "first"
    clock[0] = LATER
    assert references.text(f"file:{file}") == "ot"


def test_a_file_that_never_held_a_value_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="/none, which can't be read: No such file"):
        made(folder).text(f"file:{folder}/none")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "{}/../other",
        "{}",
        "/proc/self/environ",
        "{}/link",
        "{}/own/token",
        "{}x/password",
        "{}/away/../token",
    ],
)
def test_only_files_that_the_operator_shows_are_reached(folder: Path, path: str) -> None:
    """Whoever writes into KV could have the service show the agent's token, or any file of its user."""
    (folder.parent / "other").write_text("hunter2")
    (folder / "link").symlink_to(folder.parent / "other")
    (folder / "own").mkdir()
    (folder / "own" / "token").write_text("hunter2")
    (folder.parent / "below").mkdir()
    (folder.parent / "token").write_text("hunter2")
    (folder / "away").symlink_to(folder.parent / "below")
    Path(f"{folder}x").mkdir()
    (Path(f"{folder}x") / "password").write_text("hunter2")
    references = made(folder, own=[f"{folder}/own/token", f"{folder}/none"])
    with pytest.raises(ValueError, match="refers to") as caught:
        references.text(f"file:{path.format(folder)}")
    assert "hunter2" not in str(caught.value)


def test_the_agents_own_file_is_not_reached_through_a_link_either(folder: Path) -> None:
    (folder / "token").write_text("hunter2")
    (folder / "link").symlink_to("token")
    with pytest.raises(ValueError, match="the agent's own"):
        made(folder, own=[f"{folder}/token"]).text(f"file:{folder}/link")


def test_a_pipe_holds_nobody_up(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(ValueError, match="is no file"):
        made(folder).text(f"file:{folder}/pipe")


def test_the_number_of_files_is_bounded_and_those_no_longer_named_are_forgotten(folder: Path) -> None:
    references, values = made(folder), []
    for number in range(MOST):
        (folder / str(number)).write_text("x")
        values.append(f"file:{folder}/{number}")
        references.text(values[-1])
    (folder / "more").write_text("x")
    with pytest.raises(ValueError, match="one file more"):
        references.text(f"file:{folder}/more")
    references.keep(values[1:])
    assert references.text(f"file:{folder}/more") == "x"
    references.keep([])
    assert not references.follows


@given(st.text(max_size=40))
def test_no_value_reaches_anything_outside(value: str) -> None:
    references = References(["/run/secrets-that-are-not-there"], variables={})
    for text in (value, f"file:{value}", f"file:/{value}", f"env:{value}"):
        try:
            found = references.text(text)
        except ValueError:
            continue
        assert found == text
