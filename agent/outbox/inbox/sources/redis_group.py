"""Taking a stream of Redis: a group of its own for each time that a partition is held.

A group's open entries belong to its consumers by name only, and a reader that stands still may be given new ones when
it wakes. So whoever takes a partition makes a new group that begins behind what is done with, and destroys the former
one: the former owner gets and acknowledges nothing any more, and what it had open comes again, in order.

Source: Redis documentation, XGROUP CREATE and DESTROY, XINFO GROUPS and CONSUMERS, XPENDING.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from agent.outbox.brokers.redis_wire import Refusal, Reply
from agent.outbox.inbox.sources.resp import Asking, refused
from agent.runtime.errors import Permanent, Transient

_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
_LAST = (1 << 64) - 1


@dataclass(frozen=True, order=True)
class Id:
    """An entry's id."""

    milliseconds: int
    sequence: int

    @classmethod
    def parse(cls, given: object) -> "Id":
        """Read ``<milliseconds>-<sequence>``; raises ValueError."""
        found = _ID.fullmatch(given.decode("ascii", "replace")) if isinstance(given, bytes) else None
        if found is None:
            raise ValueError("no id of an entry")
        return cls(int(found[1]), int(found[2]))

    @property
    def before(self) -> "Id":
        """The largest id that is smaller."""
        if self.sequence:
            return Id(self.milliseconds, self.sequence - 1)
        return Id(self.milliseconds - 1, _LAST) if self.milliseconds else self

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.sequence}"


@dataclass(frozen=True)
class Group:
    """A group as the server shows it."""

    name: str
    pending: int
    delivered: Id
    """The last that was handed out."""


@dataclass(frozen=True)
class Wish:
    """What is wanted of a group."""

    base: str
    """The beginning of its name."""
    start: str
    """The id behind which the first of all begins."""
    idle: float | None
    """Where nobody else guards who has the stream: an owner that was seen within so many seconds is waited for."""
    pause: float
    """Seconds before the next try then."""


async def take(asking: Asking, key: str, wish: Wish) -> str:
    """Make a group and end the others of its kind; its name. Raises Transient or Permanent."""
    taken = Transient(f"reading the stream {key} of Redis: another instance has it", wish.pause)
    former = await _groups(asking, key, wish.base)
    if wish.idle is not None:
        for each in former:
            if await _seen(asking, key, each.name) < wish.idle:
                raise taken
    floors = [await _floor(asking, key, each) for each in former]
    turn = 1 + max((int(each.name.split("-")[-2]) for each in former), default=0)
    name = f"{wish.base}{turn:08d}-{secrets.token_hex(4)}"
    await asking.must("XGROUP", "CREATE", key, name, str(max(floors)) if floors else wish.start)
    others = [each.name for each in await _groups(asking, key, wish.base) if each.name != name]
    if wish.idle is not None and any(other > name for other in others):
        await asking.ask("XGROUP", "DESTROY", key, name)
        raise taken
    for other in others:
        await asking.must("XGROUP", "DESTROY", key, other)
    return name


async def _groups(asking: Asking, key: str, base: str) -> list[Group]:
    reply = await asking.ask("XINFO", "GROUPS", key)
    doing = f"reading the stream {key} of Redis"
    if isinstance(reply, Refusal):
        if b"no such key" in reply.words:
            raise Permanent(
                f"{doing}: there is none; create it first (XGROUP CREATE with MKSTREAM makes one)"
            )
        if reply.code == "WRONGTYPE":
            raise Permanent(f"{doing}: the key is no stream")
        raise refused(doing, reply)
    try:
        found = [_named(each) for each in reply] if isinstance(reply, list) else []
        return [
            Group(name, int(str(each["pending"])), Id.parse(each["last-delivered-id"]))
            for each in found
            if re.fullmatch(re.escape(base) + r"\d{8,18}-[0-9a-f]{8}", name := _text(each["name"]))
        ]
    except (KeyError, ValueError) as error:
        raise Transient(f"{doing}: the answer about its groups can't be read") from error


async def _floor(asking: Asking, key: str, group: Group) -> Id:
    """Up to where all is done with."""
    if not group.pending:
        return group.delivered
    match await asking.must("XPENDING", key, group.name):
        case [int(), bytes(first), *_]:
            return min(Id.parse(first).before, group.delivered)
        case _:
            return group.delivered


async def _seen(asking: Asking, key: str, group: str) -> float:
    """Seconds since a consumer of the group gave a sign of life."""
    reply = await asking.ask("XINFO", "CONSUMERS", key, group)
    found = [_named(each) for each in reply] if isinstance(reply, list) else []
    idles = [each["idle"] for each in found if "idle" in each]
    return min((each / 1000 for each in idles if isinstance(each, int)), default=float("inf"))


def _named(reply: Reply) -> dict[str, Reply]:
    parts: Sequence[Reply] = reply if isinstance(reply, list) else []
    return {_text(name): value for name, value in zip(parts[::2], parts[1::2], strict=False)}


def _text(reply: Reply) -> str:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""
