"""Clients of one URL until SIGTERM: `python -m tests.acceptance.apps.clients URL FILE`."""

import asyncio
import json
import signal
import sys
from pathlib import Path

from tests.acceptance.load import load


async def main(url: str, file: Path) -> None:
    """Ask, say by a file beside that it began, and write at the end what was seen."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with load(url, clients=2) as record:
        file.with_suffix(".going").touch()
        await stop.wait()
    file.write_text(json.dumps({"sent": record.sent, "failures": record.failures}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
