"""Follows the list of services at the Consul of its argument and says what it hears, a line each.

Run as a program on a machine of its own, see ``tests.acceptance.machines``.
"""

import asyncio
import sys
import time

from agent.config.sections.registry import Registry
from agent.registry import blocking, client
from agent.runtime.errors import PillionError


def say(what: str) -> None:
    """A line with the time."""
    sys.stdout.write(f"{time.monotonic():.2f} {what}\n")
    sys.stdout.flush()


async def main(address: str) -> None:
    """Follow until killed."""

    async def seen(names: list[str]) -> None:
        say(f"seen {' '.join(names)}")

    def failed(error: PillionError) -> None:
        say(f"failed {error}")

    async with client.connect(Registry(address=address)) as consul:
        await blocking.follow(consul, consul.services, seen, failed)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
