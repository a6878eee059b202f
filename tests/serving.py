"""Ending the HTTP servers of tests."""

import asyncio

from aiohttp import web


async def closed(runner: web.AppRunner) -> None:
    """Close the server with every connection, also those that it was taking up just then.

    asyncio finishes taking a connection up in a task of its own, which aiohttp's clean-up knows nothing of.
    """
    server = runner.server
    await runner.cleanup()
    while taking := {task for task in asyncio.all_tasks() if _takes_up(task)}:
        await asyncio.wait(taking)
    if server is not None:
        await server.shutdown(0)


def _takes_up(task: "asyncio.Task[object]") -> bool:
    return getattr(task.get_coro(), "__name__", "") == "_accept_connection2"
