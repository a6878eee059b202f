"""Many instances in Consul's catalogue that change their state all the time."""

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tests.acl import Asked

AT_ONCE = 60
"""Operations of a transaction; Consul takes 64."""
NODE = "elsewhere"


class Crowd:
    """``count`` instances of ``services`` services, all on one node that nobody watches."""

    def __init__(self, consul: Asked, count: int, services: int) -> None:
        self._consul = consul
        self.instances = [(number, f"crowd-{number % services}") for number in range(count)]
        self.flips = 0

    async def register(self) -> None:
        """Put all of them in, passing."""
        await self._write([{"Node": {"Verb": "set", "Node": {"Node": NODE, "Address": "10.9.0.1"}}}])
        operations: list[dict[str, Any]] = []
        for number, name in self.instances:
            where = {"Address": f"10.9.{number // 250 + 1}.{number % 250 + 1}", "Port": 80}
            body = {"ID": f"{name}-{number}", "Service": name, **where}
            operations.append({"Service": {"Verb": "set", "Node": NODE, "Service": body}})
        await self._write(operations)
        await self._write(self._checks(self.instances, "passing"))

    async def flap(self, seconds: float) -> None:
        """Change the state of one after the other, ten transactions a second; all pass at the end."""
        end = time.monotonic() + seconds
        states = itertools.cycle(["critical", "passing"])
        rounds = ((chunk, state) for state in states for chunk in _chunks(self.instances))
        for chunk, state in rounds:
            if time.monotonic() >= end:
                break
            began = time.monotonic()
            await self._write(self._checks(chunk, state))
            self.flips += len(chunk)
            await asyncio.sleep(max(0.1 - (time.monotonic() - began), 0.0))
        await self._write(self._checks(self.instances, "passing"))

    def _checks(self, chosen: Iterable[tuple[int, str]], state: str) -> list[dict[str, Any]]:
        return [
            {
                "Check": {
                    "Verb": "set",
                    "Check": {
                        "Node": NODE,
                        "CheckID": f"c:{name}-{number}",
                        "Name": "c",
                        "ServiceID": f"{name}-{number}",
                        "Status": state,
                    },
                }
            }
            for number, name in chosen
        ]

    async def _write(self, operations: list[dict[str, Any]]) -> None:
        for chunk in _chunks(operations):
            await asyncio.to_thread(self._consul.ask, "/v1/txn", chunk, "PUT")


def _chunks(many: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(many), AT_ONCE):
        yield many[start : start + AT_ONCE]
