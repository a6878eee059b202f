"""The injector looks after the registry where nobody else does."""

from pathlib import Path

import msgspec
import pytest

from agent.config.settings import Settings
from agent.runtime.health import Board
from agent.wiring.injector import injector

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "POD_NAME": "pillion-injector-1"}


def settings(folder: Path, mode: str) -> Settings:
    """With a service account in ``folder``."""
    for name, text in (("token", "t"), ("ca.crt", ""), ("namespace", "pillion")):
        (folder / name).write_text(text)
    document = {"injector": {"registry_mode": mode}, "webhook": {"account_dir": str(folder)}}
    return msgspec.convert(document, Settings)


@pytest.mark.parametrize(("mode", "sweeps"), [("agent", False), ("catalog", True)])
async def test_leader_and_sweep_are_there_in_catalogue_mode_only_and_stop_before_the_webhook(
    tmp_path: Path, mode: str, sweeps: bool
) -> None:
    async with injector(settings(tmp_path, mode), POD, "host", Board(lambda: 0.0)) as story:
        names = [part.name for part in story]
    assert names[-2:] == ["settled", "leaving"]
    assert (names[-4:-2] == ["leader", "sweep"]) is sweeps
    assert ("sweep" in names) is sweeps
