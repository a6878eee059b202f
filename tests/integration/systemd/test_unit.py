"""What systemd itself says of the unit file and of the drop-ins that the guide shows."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agent.config import sources
from agent.config.disk import LocalDisk
from tests.integration.systemd import UNIT, VM, analyze
from tests.integration.systemd.sandbox import settings

EXPOSURE = 2.0
"""systemd calls a unit below this well protected; it rates from 0 to 10."""
ETC = VM / "etc"


def installed(folder: Path, *drop_ins: str) -> Path:
    """The unit as it would lie in /etc/systemd/system as pillion@orders.service, with a program that is there."""
    unit = folder / "pillion@orders.service"
    unit.write_text(UNIT.read_text().replace("/opt/pillion/bin/pillion", sys.executable))
    for name in drop_ins:
        beside = folder / "pillion@orders.service.d"
        beside.mkdir(exist_ok=True)
        shutil.copyfile(ETC / beside.name / name, beside / name.removesuffix(".example"))
    return unit


def say(*argv: object) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says."""
    words = [analyze(), "--no-pager", *map(str, argv)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("drop_ins", [(), ("secrets.conf",), ("beside.conf.example",)], ids=str)
def test_systemd_takes_the_unit_and_each_drop_in_without_a_word(
    tmp_path: Path, drop_ins: tuple[str, ...]
) -> None:
    unit = installed(tmp_path, *drop_ins)
    (tmp_path / "orders.service").write_text(f"[Service]\nExecStart={sys.executable}\n")
    done = say("verify", "--man=no", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_setting_that_systemd_does_not_know_would_be_heard_of(tmp_path: Path) -> None:
    unit = installed(tmp_path, "secrets.conf")
    drop_in = tmp_path / "pillion@orders.service.d" / "secrets.conf"
    drop_in.write_text(drop_in.read_text() + "NoSuchSetting=yes\n")
    assert "NoSuchSetting" in say("verify", "--man=no", unit).stderr


def test_what_the_unit_leaves_open_is_rated_well_below_what_systemd_calls_ok(tmp_path: Path) -> None:
    done = say("security", "--offline=true", installed(tmp_path))
    assert done.returncode == 0, done.stderr
    rated = re.search(r"exposure level for pillion@orders.service: ([0-9.]+)", done.stdout)
    assert rated is not None, done.stdout
    assert float(rated[1]) <= EXPOSURE


def test_a_stop_is_ordered_by_the_supervisor_alone_and_a_start_is_what_it_says() -> None:
    given = dict(settings(UNIT))
    assert (given["Type"], given["KillMode"]) == ("notify", "mixed")
    assert "NotifyAccess" not in given, "only the supervisor may speak, which is the default"
    assert given["RestartPreventExitStatus"] == "2", "what the agent ends with when its settings can't work"


def test_the_example_settings_are_right_together_with_the_credentials(tmp_path: Path) -> None:
    secrets = {"database": "postgresql://orders@db/orders", "broker": "nats://127.0.0.1:4222"}
    for name, value in secrets.items():
        (tmp_path / name).write_text(value)
        (tmp_path / name).chmod(0o400)
    assigned = [value for name, value in settings(ETC / "pillion@orders.service.d" / "secrets.conf")]
    environ = dict(value.replace("%d", str(tmp_path)).split("=", 1) for value in assigned if "FILE=" in value)
    found = sources.load({}, environ, ETC / "orders.yaml", LocalDisk(), require="launcher")
    assert found.warnings == ()
    assert yaml.safe_load((ETC / "orders.yaml").read_text())["service"]["name"] == "orders"
    assert {str(found.origins[f"outbox.{key}"]) for key in ("database_file", "broker.url_file")} == {
        "PILLION_OUTBOX_DATABASE_FILE",
        "PILLION_OUTBOX_BROKER_URL_FILE",
    }
