"""Pillion's own commands, run by the demo as a person would."""

import asyncio
import os
import sys
import tempfile

from agent.demo.sidecar import clean
from agent.demo.traffic import NotSeenError


async def pillion(*arguments: str) -> list[str]:
    """The lines that a command prints; raises NotSeenError when it fails.

    No file of settings of the user's is read: the command starts in an empty folder.
    """
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", *arguments, cwd=folder, env=clean(os.environ),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, wrong = await process.communicate()
    if process.returncode:
        text = wrong.decode(errors="replace").strip()[-500:]
        raise NotSeenError(f"pillion {arguments[0]} ended with {process.returncode}: {text}")
    return said.decode(errors="replace").splitlines()
