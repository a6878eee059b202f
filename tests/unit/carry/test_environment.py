"""What a service's environment gets."""

from pathlib import Path

import pytest

from agent import carry

HERE = Path("/opt/hook")


def test_our_folder_comes_first_and_the_operator_s_stay() -> None:
    assert carry.environment({"PYTHONPATH": "/a:/b"}, [15302, 15301, 15302], HERE) == {
        "PYTHONPATH": "/opt/hook:/a:/b",
        "PILLION_CARRY_PORTS": "15301,15302",
    }


@pytest.mark.parametrize("before", ["", "/opt/hook", "::", "/opt/hook:"])
def test_an_empty_entry_never_adds_the_current_folder(before: str) -> None:
    assert carry.environment({"PYTHONPATH": before}, site=HERE)["PYTHONPATH"] == "/opt/hook"


@pytest.mark.parametrize("value", ["off", "OFF", " 0 ", "false", "no"])
def test_off_means_nothing_at_all(value: str) -> None:
    assert carry.environment({"PILLION_CARRY": value}) == {}


def test_only_two_names_become_importable() -> None:
    assert {path.name for path in carry.SITE.iterdir()} - {"__pycache__"} == {
        "sitecustomize.py",
        "pillion_carry",
    }
