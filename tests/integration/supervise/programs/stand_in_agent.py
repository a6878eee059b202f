"""A stand-in agent on the real Runtime, Supervisor and Child: holds "envoy" and "service" and nothing else.

Arguments: folder, then ``--supervisor-fd N``. FOLDER/plan.json says how: ``exit`` (a code to end with at
once), ``children`` (argv by name), ``hang`` (never end on SIGTERM).
"""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

from agent.runtime.child import Child
from agent.runtime.health import Board
from agent.runtime.runtime import Runtime
from agent.runtime.supervisor import Supervisor

folder, fd = Path(sys.argv[1]), int(sys.argv[3])
plan = json.loads((folder / "plan.json").read_text())


def note(event: str) -> None:
    with (folder / "events").open("a") as events:
        events.write(f"agent {event} {os.getpid()}\n")


async def main() -> None:
    board = Board(time.time)
    async with Supervisor(fd) as supervisor:
        children = [
            Child(
                name,
                supervisor,
                lambda argv=argv: (argv, {"NAME": "value", "PATH": os.environ["PATH"]}),
                lambda name=name: answers(f"{name} started {supervisor.states.value[name].pid}\n"),
                supervisor.leaving,
                stop_timeout=plan.get("stop_timeout", 5.0),
                health=board.of(name),
                restarts=name == "envoy",
            )
            for name, argv in plan["children"].items()
        ]
        runtime = Runtime(children, board)
        running = asyncio.create_task(runtime.run(), name="runtime")

        async def leave() -> None:
            note("terminated")
            if plan.get("hang"):
                return
            await supervisor.refresh()
            running.cancel()

        asyncio.get_running_loop().add_signal_handler(
            signal.SIGTERM, lambda: tasks.append(asyncio.create_task(leave(), name="leave"))
        )
        started = asyncio.create_task(runtime.started.until(bool), name="started")
        await asyncio.wait({started, running}, return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            await supervisor.ready()
            await supervisor.serving()
            note("ready")
        started.cancel()
        while not running.done():
            await act(children)
            await asyncio.wait({running}, timeout=0.02)
        if not running.cancelled():
            running.result()


async def act(children: list[Child]) -> None:
    """Do what the test left in FOLDER/do: ``restart NAME`` or ``signal NAME N``."""
    order = folder / "do"
    if not order.exists():
        return
    verb, name, *words = order.read_text().split()
    order.unlink()
    child = next(child for child in children if child.name == name)
    await (child.restart() if verb == "restart" else child.signal(int(words[0])))
    note(f"did-{verb}")


async def answers(line: str) -> bool:
    """A stand-in child answers when it has noted its start."""
    return line in (folder / "events").read_text()


tasks: list[asyncio.Task[None]] = []
note("started")
if "exit" in plan:
    sys.exit(plan["exit"])
asyncio.run(main())
note("left")
