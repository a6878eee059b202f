"""Who calls whom in the whole system: each agent tells what its own Envoy has counted, the gateway asks them all.

An agent tells it where it tells its metrics, ``GET /calls`` at ``admin.metrics``; its registration has the port.
Whoever writes to the registry may name any address there, so what comes back is read within narrow bounds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

import aiohttp
import msgspec

from agent.model import names
from agent.model.address import Address
from agent.model.catalog import Catalog, Instance
from agent.model.traffic import Traffic
from agent.runtime.errors import PillionError
from agent.runtime.latest import Latest

FRESH = 2.0
"""Seconds for which an answer holds: several people may look at once."""
ASKED = 200
"""Instances that are asked, in order of service and id."""
AT_ONCE = 20
TIMEOUT = 1.0
"""Seconds that an agent has."""
LONGEST = 64 * 1024
"""Bytes that an answer may have."""
MOST_CALLS = 200
"""Upstreams that an answer may name."""


class Count(msgspec.Struct, frozen=True):
    """Requests of one service to another since the callers' Envoys started."""

    requests: int = 0
    failed: int = 0
    retries: int = 0

    def plus(self, other: "Count") -> "Count":
        """Both together."""
        return Count(self.requests + other.requests, self.failed + other.failed, self.retries + other.retries)


class Told(msgspec.Struct, frozen=True):
    """What one agent answers."""

    service: str = ""
    calls: dict[str, Count] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class Calls:
    """The whole system's, as far as it was told."""

    edges: Mapping[tuple[str, str], Count] = field(default_factory=dict)
    """(caller, called) → how often."""
    silent: tuple[str, ...] = ()
    """Instances that gave no usable answer, by id."""
    untold: int = 0
    """Instances that say no usable port at which they tell it, or were too many to be asked."""


def told(service: str, traffic: Mapping[str, Traffic]) -> Told:
    """This agent's own answer: only upstreams that were called."""
    counts = {
        name: Count(one.requests, one.failed, one.retries) for name, one in traffic.items() if one.requests
    }
    return Told(service, counts)


def read(service: str, body: bytes) -> Told:
    """An agent's answer, which anybody may have written. Raises ValueError."""
    try:
        answer = msgspec.json.decode(body, type=Told)
    except msgspec.MsgspecError as error:
        raise ValueError("is no answer of an agent") from error
    if answer.service != service:
        raise ValueError("is of another service")
    if len(answer.calls) > MOST_CALLS or not all(names.is_service(name) for name in answer.calls):
        raise ValueError("names too much, or what is no service")
    if any(count.requests < 0 or count.failed < 0 or count.retries < 0 for count in answer.calls.values()):
        raise ValueError("counts below 0")
    return answer


def summed(answers: Iterable[Told]) -> dict[tuple[str, str], Count]:
    """The answers of all instances by caller and called. Pure."""
    edges: dict[tuple[str, str], Count] = {}
    for answer in answers:
        for called, count in answer.calls.items():
            edge = (answer.service, called)
            edges[edge] = edges.get(edge, Count()).plus(count)
    return edges


class Neighbours:
    """Asks all instances of the catalogue, when somebody looks."""

    def __init__(
        self,
        name: str,
        catalog: Latest[Catalog],
        mine: Callable[[], Awaitable[Mapping[str, Traffic]]],
        clock: Callable[[], float],
        wrong: Callable[[Address], str],
    ) -> None:
        """``name`` is the gateway's, ``mine`` what its own Envoy has counted; ``clock`` may begin anywhere.

        ``wrong`` says why an address is not to be asked, empty where it is: the rule by which Envoy calls instances.
        """
        self._name = name
        self._catalog = catalog
        self._mine = mine
        self._clock = clock
        self._wrong = wrong
        self._lock = asyncio.Lock()
        self._last: tuple[float, Calls] | None = None

    async def calls(self) -> Calls:
        """Who calls whom, at most ``FRESH`` seconds old."""
        async with self._lock:
            if self._last is None or self._clock() - self._last[0] >= FRESH:
                self._last = (self._clock(), await self._ask())
            return self._last[1]

    async def _ask(self) -> Calls:
        everyone = [
            (service.name, instance)
            for _, service in sorted(self._catalog.value.services.items())
            for instance in service.instances
        ]
        asked = [(name, one, where) for name, one in everyone if (where := self._where(one))][:ASKED]
        gate = asyncio.Semaphore(AT_ONCE)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as http:

            async def one(name: str, where: Address) -> Told | None:
                async with gate:
                    return await _told(http, name, where)

            answers = await asyncio.gather(*(one(name, where) for name, _, where in asked))
        silent = tuple(each.id for (_, each, _), answer in zip(asked, answers, strict=True) if answer is None)
        heard = [await self._own(), *(answer for answer in answers if answer is not None)]
        return Calls(summed(heard), silent, len(everyone) - len(asked))

    def _where(self, instance: Instance) -> Address | None:
        """Where its agent tells it; None where it says no port, or one that is not to be asked."""
        where = Address(instance.address.host, instance.metrics)
        return where if instance.metrics and not self._wrong(where) else None

    async def _own(self) -> Told:
        try:
            return told(self._name, await self._mine())
        except PillionError:
            return Told(self._name)


async def _told(http: aiohttp.ClientSession, service: str, where: Address) -> Told | None:
    try:
        async with http.get(f"http://{where}/calls", allow_redirects=False) as response:
            if response.status != 200:
                return None
            body = await response.content.read(LONGEST + 1)
            while len(body) <= LONGEST and (more := await response.content.read(LONGEST)):
                body += more
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return None
    try:
        return read(service, body) if len(body) <= LONGEST else None
    except ValueError:
        return None
