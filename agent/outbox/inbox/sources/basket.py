"""What a connection has brought and nobody has fetched yet, and why it brings nothing more."""

import asyncio
from collections.abc import Sequence

from agent.outbox.inbox.message import Parcel
from agent.runtime.errors import PillionError


class Basket:
    """Of one connection. All of it belongs to the loop's thread."""

    def __init__(self) -> None:
        self._came: list[Parcel] = []
        self._error: PillionError | None = None
        self._some = asyncio.Event()

    def put(self, parcels: Sequence[Parcel]) -> None:
        """These came, in order."""
        self._came += parcels
        self._some.set()

    def end(self, error: PillionError) -> None:
        """Nothing more comes; the first reason counts."""
        self._error = self._error or error
        self._some.set()

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self._error is not None

    async def take(self) -> Sequence[Parcel]:
        """What came, at least one; raises the end's reason. What came before the end and was not taken is not handed
        out any more: it comes again."""
        while True:
            if self._error is not None:
                raise self._error
            if self._came:
                came, self._came = self._came, []
                return came
            self._some.clear()
            await self._some.wait()
