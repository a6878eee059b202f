"""The walk through the capabilities: steps in turn, each with what it saw or what was wrong."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aiohttp

from agent.demo.report import Report
from agent.demo.system import System
from agent.demo.traffic import Client


@dataclass(frozen=True)
class Scene:
    """What a step works with."""

    system: System
    client: Client
    """Sends to the gateway."""
    report: Report


Step = Callable[[Scene], Awaitable[str]]
"""Tries one capability; returns in one line what it saw, raises with what came instead."""


async def walk(
    system: System, report: Report, steps: Sequence[tuple[str, Step]]
) -> list[tuple[str, bool, str]]:
    """Take all steps; of each its name, whether it passed, and what was seen. A failed one stops no other."""
    results: list[tuple[str, bool, str]] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        scene = Scene(system, Client(session, system.gateway), report)
        for name, step in steps:
            report.title(name)
            try:
                seen = await step(scene)
            except Exception as error:  # whatever it is, the demo goes on and says so
                results.append((name, False, str(error) or repr(error)))
                report.failed(results[-1][2])
            else:
                results.append((name, True, seen))
                report.done(seen)
    return results
