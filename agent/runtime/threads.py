"""Work in a thread that nothing overtakes."""

import asyncio
from collections.abc import Callable


async def to_its_end(work: Callable[[], object]) -> None:
    """Run ``work`` in a thread and return only when it has ended, also when cancelled: the thread goes on then, and
    what it writes would come after what its caller writes next. Raises what ``work`` raises, unless cancelled."""
    running = asyncio.create_task(asyncio.to_thread(work), name="work in a thread")
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
