"""The hook for a service that somebody else starts."""

from tests.acceptance.conftest import Mesh
from tests.waiting import until


async def test_the_hook_is_in_its_folder_before_the_api_answers(mesh: Mesh) -> None:
    folder = mesh.folder / "hook"
    orders = mesh.service("orders", settings={"tracing": {"carry_dir": str(folder)}})
    await until(lambda: orders.get("/status")[0] == 200, within=60, every=0.01)
    assert (folder / "sitecustomize.py").is_file()
    assert (folder / "pillion_carry" / "hook.py").is_file()
    await orders.ready()
    assert orders.status()["components"]["hook"]["state"] == "ok"


async def test_a_hook_that_can_not_be_copied_is_told_and_the_service_gets_traffic(mesh: Mesh) -> None:
    (mesh.folder / "file").write_text("")
    orders = mesh.service("orders", settings={"tracing": {"carry_dir": str(mesh.folder / "file" / "hook")}})
    await orders.ready()
    told = orders.status()["components"]["hook"]
    assert told["state"] == "degraded"
    assert "tracing.carry_dir" in told["detail"]
    assert "Not a directory" in told["detail"]
    assert orders.get("/", orders.inbound)[0] == 200
