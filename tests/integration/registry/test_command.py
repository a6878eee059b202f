"""The command that follows a change, as a real process."""

import sys
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.registry.command import Command
from agent.runtime.errors import Permanent, Transient
from agent.wiring import changes
from tests.waiting import until

SHELL = "/bin/sh"


def shell(script: str, environ: dict[str, str] | None = None, timeout: float = 100.0) -> Command:
    return Command([SHELL, "-c", script], environ or {}, timeout)


async def test_its_arguments_are_not_read_by_a_shell(tmp_path: Path) -> None:
    hostile = f"$(touch {tmp_path}/pwned); `touch {tmp_path}/pwned` > {tmp_path}/pwned"
    code = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
    await Command([sys.executable, "-c", code, f"{tmp_path}/got", hostile], {}, 100.0).run(())
    assert (tmp_path / "got").read_text() == hostile
    assert not (tmp_path / "pwned").exists()


async def test_its_environment_is_the_operators_without_secrets(tmp_path: Path) -> None:
    own = {
        "PATH": "/bin",
        "REGION": "eu",
        "PILLION_REGISTRY_TOKEN": "hunter2",
        "CONSUL_HTTP_TOKEN": "hunter2",
        "PILLION_OUTBOX_DATABASE": "postgresql://u:hunter2@h/d",
        "ORDERS_DSN": "hunter2",
    }
    await shell(f"env > {tmp_path}/env", changes.environ(own, ("ORDERS_DSN",))).run(())
    found = (tmp_path / "env").read_text()
    assert "REGION=eu\n" in found
    assert "hunter2" not in found


async def test_its_answer_is_logged_without_values() -> None:
    with capture_logs() as logs:
        await shell("echo reloaded with hunter2; echo twice >&2").run(["hunter2"])
    (line,) = logs
    assert (line["event"], line["said"]) == ("configuration.command", "reloaded with *** twice")


async def test_a_failure_is_told_with_its_code_and_without_values() -> None:
    with pytest.raises(Transient) as caught:
        await shell("echo cannot connect as hunter2; exit 3").run(["hunter2"])
    assert str(caught.value) == "store.exec, /bin/sh, ended with exit code 3: cannot connect as ***"


async def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(Transient, match=r"was killed after 5 s: waiting"):
        await shell(f"sleep 200 & echo $! > {tmp_path}/child; echo waiting; wait", timeout=5.0).run(())
    assert time.monotonic() - began < 100
    child = int((tmp_path / "child").read_text())
    await until(lambda: gone(child))


async def test_what_it_leaves_running_neither_holds_it_up_nor_stays(tmp_path: Path) -> None:
    began = time.monotonic()
    await shell(f"sleep 200 & echo $! > {tmp_path}/child").run(())
    assert time.monotonic() - began < 100
    child = int((tmp_path / "child").read_text())
    await until(lambda: gone(child))


async def test_output_without_end_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(Transient, match="ended with exit code 1"):
        await shell("head -c 20000000 /dev/zero; exit 1").run(())


async def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(Permanent, match="/none/there, failed: No such file"):
        await Command(["/none/there"], {}, 1.0).run(())


async def test_standard_input_is_empty() -> None:
    await shell('test -z "$(cat)"').run(())


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state.rpartition(")")[2].split()[0] == "Z"
