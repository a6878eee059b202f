"""The command that follows a change of configuration: no shell, bounded time, no value of it in the log."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

import structlog

from agent.runtime.errors import Permanent, Transient

log = structlog.get_logger(__name__)

READ = 64 * 1024
"""Bytes of output that are looked at; the rest is read and dropped."""
SHOWN = 400
"""Characters of it that are shown."""
LAST = 0.5
"""Seconds in which output may still come when the command has ended."""


class Command:
    """Runs one program. What it leaves running in its process group is killed when it ends or its time is over."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], timeout: float) -> None:
        """``environ`` is the whole environment; ``timeout`` in seconds."""
        self._argv = tuple(argv)
        self._environ = environ
        self._timeout = timeout

    async def run(self, values: Collection[str]) -> None:
        """Run it to its end; ``values`` are those that its output may hold and that are not to be shown.

        Raises Permanent when it can't be started, Transient when it fails or takes too long.
        """
        began = time.monotonic()
        output = bytearray()
        async with _pipe(output) as (written, reading):
            try:
                # A pipe of our own: with asyncio's, waiting for the end waits for all that hold the pipe.
                process = await asyncio.create_subprocess_exec(
                    *self._argv, stdin=asyncio.subprocess.DEVNULL, stdout=written, stderr=written,
                    env=dict(self._environ), start_new_session=True,
                )  # fmt: skip
            except (OSError, ValueError) as error:
                words = getattr(error, "strerror", None) or type(error).__name__
                raise Permanent(f"starting store.exec, {self._argv[0]}, failed: {words}") from None
            finally:
                os.close(written)
            status = await self._end(process, reading)
        said = masked(bytes(output), values, whole=status is not None)
        if status is None:
            raise Transient(f"store.exec, {self._argv[0]}, was killed after {self._timeout:g} s{said}")
        if status:
            raise Transient(f"store.exec, {self._argv[0]}, {_ending(status)}{said}")
        log.info(
            "configuration.command", seconds=round(time.monotonic() - began, 3), said=said.removeprefix(": ")
        )

    async def _end(self, process: asyncio.subprocess.Process, reading: "asyncio.Task[None]") -> int | None:
        """How it ended; None when its time was over. Nothing of it runs afterwards."""
        status = None
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeout):
                    status = await process.wait()
            await asyncio.wait({reading}, timeout=LAST)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        return status


@contextlib.asynccontextmanager
async def _pipe(output: bytearray) -> "AsyncIterator[tuple[int, asyncio.Task[None]]]":
    """The end of a pipe that a command writes to, closed by the user of this, and the task that reads the other."""
    ours, written = os.pipe()
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(ours, "rb", buffering=0)
    )
    reading = asyncio.create_task(_read(stream, output), name="command.output")
    try:
        yield written, reading
    finally:
        reading.cancel()
        await asyncio.wait({reading})
        transport.close()


async def _read(stream: asyncio.StreamReader, output: bytearray) -> None:
    while chunk := await stream.read(65536):
        output += chunk[: READ - len(output)]


def _ending(status: int) -> str:
    return f"was ended by signal {-status}" if status < 0 else f"ended with exit code {status}"


def masked(output: bytes, values: Collection[str], *, whole: bool = True) -> str:
    """The output as the end of a sentence: short, printable, with each of the values replaced by ***; ``whole``: its
    last line has an end. Pure."""
    text = output.decode(errors="replace")
    if len(output) >= READ or not whole:
        text = text.rpartition("\n")[0]  # a value that was cut would not be found
    written = (form for value in values for form in (value, json.dumps(value)[1:-1]))
    parts = {line for form in written for line in (form, form.strip(), *form.splitlines()) if line.strip()}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "***")
    plain = "".join(character if character.isprintable() else " " for character in text).strip()
    if not plain:
        return ""
    return f": {plain[:SHOWN]}…" if len(plain) > SHOWN else f": {plain}"
