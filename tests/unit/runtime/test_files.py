"""A file is either the old or the new content."""

import os
from pathlib import Path

import pytest

from agent.runtime.files import write_atomically


def test_the_content_and_exactly_the_permissions_are_written(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "a", b"one", 0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_bytes() == b"one"
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o644


def test_a_reader_of_the_old_file_keeps_it_and_nothing_is_left_beside_the_new_one(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"one")
    with (tmp_path / "a").open("rb") as reader:
        write_atomically(tmp_path / "a", b"two")
        assert reader.read() == b"one"
    assert (tmp_path / "a").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o600


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomically(tmp_path / "a", b"one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_symbolic_link_is_replaced_and_its_target_untouched(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"theirs")
    (tmp_path / "a").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "a", b"ours")
    assert (tmp_path / "target").read_bytes() == b"theirs"
    assert not (tmp_path / "a").is_symlink()


def test_a_name_of_the_longest_length_can_be_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("x" * 255), b"one")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"one"
