"""Large reviews wait for their turn, small ones never do."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from agent.inject.turns import AT_ONCE, LARGE, WAITING, BusyError, Turns


async def test_small_bodies_go_on_while_large_ones_hold_every_turn() -> None:
    turns = Turns(patience=0.05)
    async with AsyncExitStack() as stack:
        for _ in range(AT_ONCE):
            await stack.enter_async_context(turns.of(LARGE))
        async with turns.of(LARGE - 1):
            pass
        with pytest.raises(BusyError, match=r"not answered within 0\.05 s"):
            await stack.enter_async_context(turns.of(LARGE))
    async with turns.of(LARGE):
        pass


async def test_a_body_of_unknown_length_counts_as_large() -> None:
    turns = Turns(patience=0.05)
    async with AsyncExitStack() as stack:
        for _ in range(AT_ONCE):
            await stack.enter_async_context(turns.of(None))
        with pytest.raises(BusyError):
            await stack.enter_async_context(turns.of(None))


async def test_more_than_may_wait_are_turned_away_at_once_and_nobody_else() -> None:
    turns = Turns(patience=60)
    done = 0

    async def asking() -> None:
        nonlocal done
        async with turns.of(LARGE):
            await asyncio.sleep(0)
            done += 1

    async with AsyncExitStack() as stack:
        for _ in range(AT_ONCE):
            await stack.enter_async_context(turns.of(LARGE))
        waiting = [asyncio.create_task(asking()) for _ in range(WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="wait already"):
            await asking()
        assert done == 0
    await asyncio.gather(*waiting)
    assert done == WAITING
