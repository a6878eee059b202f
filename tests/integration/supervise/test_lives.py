"""The lives of the agent, Envoy and the service under the supervisor."""

import ast
import json
import os
import signal
import time

import pytest

from tests.integration.supervise.conftest import Instance
from tests.waiting import until


@pytest.mark.exclusive
async def test_an_agent_killed_twenty_times_is_back_within_two_seconds_and_its_children_are_untouched(
    instance: Instance,
) -> None:
    instance.start()
    slowest = 0.0
    for count in range(1, 21):
        agent = await instance.ready(count)
        os.kill(agent, signal.SIGKILL)
        killed = time.monotonic()
        await instance.ready(count + 1)
        slowest = max(slowest, time.monotonic() - killed)
    assert len(instance.pids("envoy")) == len(instance.pids("service")) == 1
    assert slowest < 2.0
    instance.send(signal.SIGTERM)
    assert await instance.ended() == 0
    assert len(instance.pids("envoy")) == len(instance.pids("service")) == 1


async def test_an_agent_ended_alone_by_sigterm_leaves_its_children_and_comes_back(instance: Instance) -> None:
    instance.start()
    os.kill(await instance.ready(), signal.SIGTERM)
    await instance.ready(2)
    assert instance.order("agent left", "envoy terminated", "service terminated") == ["agent left"]
    assert len(instance.pids("envoy")) == len(instance.pids("service")) == 1
    instance.send(signal.SIGTERM)
    assert await instance.ended() == 0


async def test_a_crashed_envoy_is_started_again_and_the_agent_lives_on(instance: Instance) -> None:
    instance.start()
    await instance.ready()
    for count in range(1, 4):
        os.kill(instance.pids("envoy")[-1], signal.SIGKILL)
        await until(lambda count=count: len(instance.pids("envoy")) == count + 1)
    assert len(instance.pids("agent")) == len(instance.pids("service")) == 1
    instance.send(signal.SIGTERM)
    assert await instance.ended() == 0


async def test_envoy_is_started_again_while_the_agent_is_down(instance: Instance) -> None:
    instance.start()
    agent = await instance.ready()
    os.kill(agent, signal.SIGSTOP)
    os.kill(instance.pids("envoy")[-1], signal.SIGKILL)
    await until(lambda: len(instance.pids("envoy")) == 2)
    instance.plan["exit"] = 1
    (instance.folder / "plan.json").write_text(json.dumps(instance.plan))
    os.kill(agent, signal.SIGKILL)
    await until(lambda: len(instance.pids("agent")) >= 3)  # it can't come back
    os.kill(instance.pids("envoy")[-1], signal.SIGKILL)
    await until(lambda: len(instance.pids("envoy")) == 3)
    instance.send(signal.SIGTERM)
    assert await instance.ended() == 0
    assert instance.order("service terminated", "envoy terminated") == [
        "service terminated",
        "envoy terminated",
    ]


async def test_children_inherit_nothing_but_their_streams_and_the_environment_asked_for(
    instance: Instance,
) -> None:
    leak = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        instance.start(pass_fds=[leak])
    finally:
        os.close(leak)
    await instance.ready()
    for name in ("envoy", "service"):
        facts = ast.literal_eval((instance.folder / f"{name}.facts").read_text())
        assert facts["fds"] == [0, 1, 2, 3, 4]  # 3 is the file of facts, 4 the listing itself
        assert set(facts["env"]) <= {"NAME", "PATH", "LC_CTYPE"}
        assert facts["session"] == instance.pids(name)[0]
    instance.send(signal.SIGTERM)
    assert await instance.ended() == 0


async def test_a_restart_of_the_service_ends_nothing(instance: Instance) -> None:
    instance.start()
    await instance.ready()
    instance.do("restart service")
    await until(lambda: len(instance.pids("service")) == 2 and instance.pids("agent", "did-restart"))
    instance.do("signal service 1")
    await until(lambda: instance.pids("service", "hup") == [instance.pids("service")[-1]])
    assert len(instance.pids("agent")) == len(instance.pids("envoy")) == 1
    instance.send(signal.SIGTERM)
    assert await instance.ended() == 0
