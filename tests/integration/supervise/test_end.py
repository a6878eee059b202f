"""How an instance ends, in which order, and with which exit status."""

import asyncio
import os
import pty
import signal
import subprocess

import pytest

from agent.supervise.whole import SAME_STOP
from tests.integration.supervise.conftest import Instance
from tests.waiting import until

IN_ORDER = ["agent terminated", "service terminated", "envoy terminated", "agent left"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_stop_signal_has_the_agent_stop_all_in_order(instance: Instance, signum: int) -> None:
    instance.start()
    await instance.ready()
    instance.send(signum)
    assert await instance.ended() == 0
    assert instance.order(*IN_ORDER) == IN_ORDER


@pytest.mark.parametrize(("on_term", "code"), [("default", 0), ("7", 7), ("143", 0)])
async def test_a_stopped_service_ends_the_instance_with_its_code(
    instance: Instance, on_term: str, code: int
) -> None:
    instance.plan["children"]["service"] = instance.command("service", on_term)
    instance.start()
    await instance.ready()
    instance.send(signal.SIGTERM)
    assert await instance.ended() == code


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGUSR2, 0), (signal.SIGUSR1, 3), (signal.SIGKILL, 137), (signal.SIGABRT, 134)],
)
async def test_a_service_that_ends_by_itself_ends_all_in_order_with_its_code(
    instance: Instance, signum: int, code: int
) -> None:
    instance.start()
    await instance.ready()
    os.kill(instance.pids("service")[0], signum)
    assert await instance.ended() == code
    assert instance.order(*IN_ORDER) == ["agent terminated", "envoy terminated", "agent left"]


@pytest.mark.parametrize(("program", "code"), [("/nowhere/program", 127), ("/etc/passwd", 126)])
async def test_a_service_that_can_not_be_started_ends_all_as_a_shell_would(
    instance: Instance, program: str, code: int
) -> None:
    instance.plan["children"]["service"] = [program]
    instance.start()
    assert await instance.ended() == code
    assert "envoy terminated" in instance.order("envoy terminated")
    assert f"can't start {program}" in (instance.folder / "output").read_text()


async def test_a_wrong_configuration_at_the_first_start_ends_all_with_2(instance: Instance) -> None:
    instance.plan["exit"] = 2
    instance.start()
    assert await instance.ended() == 2
    assert len(instance.pids("agent")) == 1


async def test_a_wrong_configuration_later_is_a_crash_that_leaves_the_children_alone(
    instance: Instance,
) -> None:
    instance.start()
    agent = await instance.ready()
    plan = (instance.folder / "plan.json").read_text()
    (instance.folder / "plan.json").write_text('{"exit": 2}')
    os.kill(agent, signal.SIGKILL)
    await until(lambda: len(instance.pids("agent")) >= 3)
    (instance.folder / "plan.json").write_text(plan)
    await instance.ready(2)
    assert len(instance.pids("envoy")) == len(instance.pids("service")) == 1
    instance.send(signal.SIGTERM)
    assert await instance.ended() == 0


async def test_an_agent_that_never_works_is_given_up_with_its_code(instance: Instance) -> None:
    instance.plan["exit"] = 1
    instance.start()
    assert await instance.ended() == 1
    assert len(instance.pids("agent")) == 5


async def test_a_killed_supervisor_takes_its_children_with_it(instance: Instance) -> None:
    instance.start()
    await instance.ready()
    instance.send(signal.SIGKILL)
    await until(lambda: not instance.running())
    assert set(instance.order(*IN_ORDER)) == set(IN_ORDER)


async def test_what_a_killed_service_leaves_in_its_process_group_is_asked_to_end(instance: Instance) -> None:
    instance.plan["children"]["service"].append("fork")
    instance.start()
    await instance.ready()
    await until(lambda: instance.pids("service-worker"))
    os.kill(instance.pids("service")[0], signal.SIGKILL)
    assert await instance.ended() == 137
    await until(lambda: instance.pids("service-worker", "terminated"))
    await until(lambda: not instance.running())


async def test_an_agent_that_does_not_end_is_killed_and_the_rest_stopped_in_order(instance: Instance) -> None:
    instance.plan["hang"] = True
    instance.start(deadline=16.0)  # the last quarter is for the others
    await instance.ready()
    instance.send(signal.SIGTERM)
    assert await instance.ended() == 0
    assert "supervisor.killing" not in (instance.folder / "output").read_text(), (
        "at the deadline all are killed"
    )
    assert instance.order(*IN_ORDER) == ["agent terminated", "service terminated", "envoy terminated"]


async def test_what_ignores_sigterm_is_killed_at_the_deadline(instance: Instance) -> None:
    instance.plan["stop_timeout"] = 60.0
    instance.plan["children"]["service"] = instance.command("service", "ignore")
    instance.start(deadline=2.0)
    await instance.ready()
    instance.send(signal.SIGTERM)
    assert await instance.ended(within=30.0) == 128 + signal.SIGKILL


async def test_a_second_signal_hastens_the_end(instance: Instance) -> None:
    instance.plan["hang"] = True
    instance.start(deadline=60.0)
    await instance.ready()
    instance.send(signal.SIGTERM)
    await until(lambda: instance.pids("agent", "terminated"))
    await asyncio.sleep(SAME_STOP + 0.1)  # sooner it would be the first one again, and a third one kills
    instance.send(signal.SIGTERM)
    assert await instance.ended(within=30.0) == 0
    assert set(instance.order(*IN_ORDER)) == {"agent terminated", "service terminated", "envoy terminated"}


async def test_a_second_instance_in_the_same_state_folder_is_refused(instance: Instance) -> None:
    first = instance.start()
    await instance.ready()
    second = instance.start(stderr=subprocess.PIPE)
    instance.process = first
    _, said = second.communicate(timeout=60)
    assert second.returncode == 1
    assert said.decode() == (
        f"pillion: another pillion (process {first.pid}) uses the state folder {instance.folder / 'state'}; "
        "stop it or give this one another\n"
    )
    instance.send(signal.SIGTERM)
    assert await instance.ended() == 0


async def test_ctrl_c_on_a_terminal_stops_in_order_and_the_service_can_read_the_terminal(
    instance: Instance,
) -> None:
    master, slave = pty.openpty()
    try:
        instance.start(
            start_new_session=False,
            preexec_fn=lambda: os.login_tty(slave),
            stdin=None,
            stdout=None,
            stderr=None,
        )
        await instance.ready()
        (instance.folder / "service.read").touch()
        os.write(master, b"hello\n")
        await until(lambda: instance.pids("service", "read:hello"))
        os.write(master, b"\x03")
        assert await instance.ended() == 0
    finally:
        os.close(slave)
        os.close(master)
    assert instance.order(*IN_ORDER) == IN_ORDER
    assert not instance.pids("service", "interrupted")
    assert not instance.pids("envoy", "interrupted")
