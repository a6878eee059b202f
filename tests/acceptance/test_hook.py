"""What an operator learns of the carry hook in a service that `pillion run` starts."""

import sys
from collections.abc import Sequence

from agent.config import sources
from agent.config.disk import LocalDisk
from agent.doctor.finding import Finding, Level
from agent.wiring import doctor_agent
from tests.acceptance.conftest import APPS, GUNICORN, Mesh
from tests.acceptance.instance import Instance
from tests.waiting import until

COUNTER = "envoy_http_filter_name_carry_response_metadata_added"


async def answered(instance: Instance, times: int) -> None:
    """The service has answered that often."""
    for _ in range(times):
        assert instance.get("/", instance.inbound)[0] == 200
    await until(lambda: instance.status()["hook"]["answers"] >= times)


async def looked(instance: Instance) -> Sequence[Finding]:
    """What `pillion doctor` finds of the hook beside the running agent."""
    settings = sources.load({}, {}, instance.file, LocalDisk()).settings
    found = await doctor_agent.agent(settings, settings.admin.listen)
    return [one for one in found if one.id == "carry.active"]


async def test_status_and_metrics_tell_that_the_hook_works(mesh: Mesh) -> None:
    orders = await mesh.service("orders").ready()
    assert orders.status()["hook"]["active"] == "unknown"
    await answered(orders, 3)
    hook = orders.status()["hook"]
    assert (hook["active"], hook["with_hook"]) == ("yes", hook["answers"])
    scraped = orders.get("/metrics")[1]
    assert f"{COUNTER}{{}} {hook['with_hook']}" in scraped
    assert "hook" not in orders.status()["components"]
    (finding,) = await looked(orders)
    assert (finding.level, finding.id) == (Level.OK, "carry.active")


async def test_an_isolated_python_is_told_before_its_first_answer_and_gets_traffic(mesh: Mesh) -> None:
    """-I ignores PYTHONPATH: the agent sees it on the command line, and later that no answer has the header."""
    isolated = f"import sys; sys.path.insert(0, {str(APPS)!r}); from gunicorn.app.wsgiapp import run; run()"
    command = [sys.executable, "-I", "-c", isolated, *GUNICORN[3:], "plain:app"]
    orders = await mesh.service("orders", command=command).ready()
    told = orders.status()["components"]["hook"]
    assert told["state"] == "degraded"
    assert "-I (isolated mode), which ignores PYTHONPATH" in told["detail"]
    assert "hook.not_loaded" in orders.tail(50_000)
    await answered(orders, 2)
    assert orders.status()["hook"]["active"] == "no"
    (finding,) = await looked(orders)
    assert (finding.level, finding.id) == (Level.WARNING, "carry.active")
    assert "-I (isolated mode)" in finding.found
    assert "-I" in finding.todo


async def test_a_hook_that_a_shell_hides_is_noticed_by_its_absence(mesh: Mesh) -> None:
    """What a script does to the environment can't be seen from its first line."""
    script = mesh.folder / "start.sh"
    script.write_text(f"#!/bin/sh\nunset PYTHONPATH\nexec {' '.join(GUNICORN)} plain:app\n")
    script.chmod(0o755)
    orders = await mesh.service("orders", command=[str(script)]).ready()
    await answered(orders, 2)
    assert orders.status()["hook"]["active"] == "no"


async def test_a_hook_that_is_switched_off_is_not_missed(mesh: Mesh) -> None:
    orders = await mesh.service("orders", settings={"tracing": {"carry": False}}).ready()
    assert orders.get("/", orders.inbound)[0] == 200
    assert "hook" not in orders.status()
