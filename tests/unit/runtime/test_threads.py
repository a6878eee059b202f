"""What is written in a thread is written before its caller goes on."""

import asyncio
import threading

import pytest

from agent.runtime.threads import to_its_end
from tests.waiting import until


@pytest.mark.parametrize("fails", [False, True])
async def test_who_is_cancelled_ends_after_its_thread(fails: bool) -> None:
    begun, go, over = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go.wait(60)
        over.set()
        if fails:
            raise OSError("full")

    task = asyncio.create_task(to_its_end(work))
    await until(begun.is_set)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=0.1)
    assert not done
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert over.is_set()


async def test_what_the_work_raises_is_raised() -> None:
    def work() -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        await to_its_end(work)
