"""What stands for an Envoy that someone else runs."""

import asyncio
from contextlib import suppress
from pathlib import Path

from agent.model.address import Address
from agent.model.revision import Revision
from agent.proxy.admin import EnvoyAdmin
from agent.proxy.external import External, admin_at
from agent.runtime.errors import Transient
from agent.runtime.health import Board, State
from agent.runtime.latest import Latest
from tests.waiting import until


class Admin(EnvoyAdmin):
    """Notes what it is told."""

    def __init__(self, *, away: bool = False) -> None:
        super().__init__(Path("/nowhere"))
        self.away = away
        self.told: list[bool] = []

    async def health(self, well: bool) -> None:
        if self.away:
            raise Transient("nobody there")
        self.told.append(well)


async def told(admin: Admin, *, draining: bool = False) -> tuple[State, str]:
    """What is reported while no Envoy is there and then, returned, while one is."""
    board, revision = Board(lambda: 0.0), Latest(Revision())
    external = External(revision, Latest(draining), admin, Path("/x.sock"), board.of("envoy"))
    ready = asyncio.Event()
    task = asyncio.create_task(external.run(ready.set))
    try:
        async with asyncio.timeout(5):
            await ready.wait()
        await until(lambda: "pillion envoy bootstrap" in board.reports["envoy"].detail)
        revision.set(Revision(connected=True))
        await until(lambda: "pillion envoy bootstrap" not in board.reports["envoy"].detail)
        found = board.reports["envoy"]
        revision.set(Revision())
        await until(lambda: "pillion envoy bootstrap" in board.reports["envoy"].detail)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return found.state, found.detail


async def test_it_is_ready_without_one_and_says_how_to_start_it() -> None:
    admin = Admin()
    assert await told(admin) == (State.OK, "")
    assert admin.told == [True]


async def test_one_that_comes_while_the_instance_drains_is_not_told_to_take_callers() -> None:
    admin = Admin()
    await told(admin, draining=True)
    assert admin.told == [False]


async def test_a_missing_admin_api_is_said() -> None:
    state, detail = await told(Admin(away=True))
    assert state is State.DEGRADED
    assert "neither drained nor measured: nobody there" in detail


def test_the_admin_api_is_where_the_setting_says() -> None:
    beside = Path("/state/admin.sock")
    assert admin_at("", beside) == beside
    assert admin_at("/run/envoy.sock", beside) == Path("/run/envoy.sock")
    assert admin_at("127.0.0.1:9901", beside) == Address("127.0.0.1", 9901)
