"""What is locked is what is asked for, by check sums and from no particular registry."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.unit.image import locks
from tests.unit.image.locks import LOCKS, ROOT, SERVICES, Pin, disagreements, pins


def named(path: Path) -> str:
    """A lock file's name in a test's."""
    return str(path.relative_to(ROOT))


def test_the_image_locks_what_setup_cfg_asks_for() -> None:
    locked = pins((ROOT / "requirements/image.txt").read_text())
    assert disagreements(locks.of_image(), locked, "pillion (setup.cfg)") == []


def test_the_build_locks_what_pyproject_toml_asks_for() -> None:
    wanted = locks.of_file(ROOT / "requirements/build.in")
    assert sorted(map(str, wanted)) == sorted(map(str, locks.of_build()))
    locked = pins((ROOT / "requirements/build.txt").read_text())
    assert disagreements(wanted, locked, "-r requirements/build.in") == []


@pytest.mark.parametrize("folder", SERVICES, ids=lambda folder: folder.name)
def test_a_service_locks_what_it_asks_for(folder: Path) -> None:
    wanted = locks.of_file(folder / "requirements.in")
    locked = pins((folder / "requirements.txt").read_text())
    assert disagreements(wanted, locked, f"-r {named(folder)}/requirements.in") == []


@pytest.mark.parametrize("path", LOCKS, ids=named)
def test_every_locked_version_has_check_sums(path: Path) -> None:
    locked = pins(path.read_text())
    assert locked
    assert all(pin.hashes for pin in locked.values())


@pytest.mark.parametrize("path", LOCKS, ids=named)
def test_a_lock_file_names_no_registry(path: Path) -> None:
    """It may have been made behind somebody's own mirror."""
    assert not re.search(
        r"://|--(extra-)?index|--find-links|--trusted-host|^-[ifr] ", path.read_text(), re.MULTILINE
    )


def test_what_nothing_loads_is_not_locked() -> None:
    """xds-protos asks for grpcio for its services; ours is served by grpclib."""
    locked = pins((ROOT / "requirements/image.txt").read_text())
    assert "grpcio" not in locked
    assert {"grpclib", "xds-protos"} <= locked.keys()


PIN = Pin("one", "1.5", 1, ("setup.cfg",))
CASES = {
    "agrees": ("one>=1", {"one": PIN}, []),
    "missing": (
        "two",
        {"one": PIN, "two-more": PIN},
        ["two is not locked", "one is locked but no longer asked for"],
    ),
    "too old": ("one>=1.6", {"one": PIN}, ["one>=1.6 is locked as 1.5"]),
    "too new": ("One<1.5", {"one": PIN}, ["One<1.5 is locked as 1.5"]),
    "of another": ("one>=1", {"one": PIN, "two": Pin("two", "1", 1, ("one",))}, []),
}


@pytest.mark.parametrize("case", CASES)
def test_a_disagreement_is_named(case: str) -> None:
    wanted, locked, said = CASES[case]
    assert set(disagreements([Requirement(wanted)], locked, "setup.cfg")) == set(said)


@pytest.mark.parametrize(
    "line", ["one==1", "one>=1 --hash=sha256:" + "0" * 64, "-r other.txt", "one==1 --hash=md5:0"]
)
def test_a_line_that_is_no_pin_with_check_sums_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"not pinned|not a pin"):
        pins(line + "\n")
