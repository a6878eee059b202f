"""Every error that a person can provoke from the command line or the file: its exit code and its exact words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.provoke import SECRET, ends, place, table


def _title(case: Mapping[str, Any]) -> str:
    extra = {**case.get("environment", {}), **dict.fromkeys(case.get("without", ()), "missing")}
    if "file" in case:
        return " ".join(case["file"].split())[:80]
    return " ".join([case["pillion"], *(f"{name}={value}" for name, value in extra.items())])


@pytest.mark.parametrize("case", table()["cases"], ids=_title)
def test_an_error_says_what_is_wrong_where_and_what_to_do(
    case: Mapping[str, Any],
    short_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with place(short_folder) as where:
        code = ends(case, where, monkeypatch)
        out, err = capfd.readouterr()
        assert where.plain(err) == case["says"]
    assert code == case["code"]
    assert SECRET not in out + err
    assert "Traceback" not in err
    assert "defect" not in err
