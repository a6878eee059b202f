"""The life of a process that runs components: until it is told to end, and then in order."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence

from agent.runtime.component import Component
from agent.runtime.deadline import Deadline
from agent.runtime.health import Board
from agent.runtime.runtime import Runtime

LAST_RESORT = 5.0
"""Seconds beyond the components' own budgets after which a stop that hangs is cut off."""

Farewell = Callable[[Runtime], Awaitable[None]]
"""What is to happen between the signal and the stop."""


async def until_told(story: Sequence[Component], board: Board, farewell: Farewell) -> None:
    """Run the components until SIGTERM, and stop them in order; what ends them otherwise is raised."""
    runtime = Runtime(story, board)
    running = asyncio.create_task(runtime.run(), name="runtime")
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, told.set)
    waiting = asyncio.create_task(told.wait(), name="signal")
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    deadline = Deadline(runtime.stop_budget + LAST_RESORT)
    deadline.arm()
    try:
        if not running.done():
            await farewell(runtime)
            running.cancel()
        waiting.cancel()
        await asyncio.wait({running, waiting})
        if not running.cancelled():
            running.result()
    finally:
        deadline.disarm()
