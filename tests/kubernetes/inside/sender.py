"""Sends requests from a pod and prints what became of them as one line of JSON.

Runs in the image of Pillion, for its aiohttp: ``python sender.py URL RATE SECONDS``. It ends before SECONDS when
/tmp/stop appears. Its environment's HTTP_PROXY, which an injected pod has, is used.
"""

import asyncio
import collections
import contextlib
import json
import math
import sys
import time
from pathlib import Path

import aiohttp

STOP = Path("/tmp/stop")
READY = Path("/tmp/sending")
LIMIT = 60_000
"""Requests at most, whatever was asked for."""


async def answered(session: aiohttp.ClientSession, url: str) -> None:
    """Wait for a first good answer, a minute at most: what is tried later must not meet a way that never was there."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with session.get(url) as answer:
                if answer.status == 200:
                    return
        await asyncio.sleep(0.2)


async def main(url: str, rate: float, seconds: float) -> None:
    took: list[float] = []
    failed: collections.Counter[str] = collections.Counter()
    served: collections.Counter[str] = collections.Counter()

    async def one(session: aiohttp.ClientSession) -> None:
        began = time.monotonic()
        try:
            async with session.get(url) as answer:
                text = await answer.text()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            failed[repr(error)[:200]] += 1
            return
        if answer.status != 200:
            failed[f"{answer.status} {text[:120]}"] += 1
            return
        took.append(time.monotonic() - began)
        if text.startswith("{"):
            served[str(json.loads(text).get("served_by", ""))] += 1

    timeout = aiohttp.ClientTimeout(total=15)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
        await answered(session, url)
        began, tasks, sent = time.monotonic(), set(), 0
        while sent < min(rate * seconds, LIMIT) and not (sent % 20 == 0 and STOP.exists()):
            wait = began + sent / rate - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(one(session))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
            if sent == 20:
                READY.touch()
        await asyncio.gather(*tasks)
    took.sort()

    def share(part: float) -> float:
        return round(took[max(0, math.ceil(len(took) * part) - 1)] * 1000, 1) if took else 0.0

    said = {
        "sent": sent, "answered": len(took), "failed": dict(failed), "served_by": dict(served),
        "seconds": round(time.monotonic() - began, 1), "p50": share(0.5), "p99": share(0.99), "slowest": share(1),
    }  # fmt: skip
    sys.stdout.write(f"{json.dumps(said)}\n")


asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
