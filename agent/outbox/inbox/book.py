"""What the inbox remembers, as those who work with it need it; and how it does without."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from agent.outbox.inbox.message import Message
from agent.outbox.inbox.shares import Place, View


@dataclass(frozen=True)
class Hold:
    """A partition that this instance has."""

    place: Place
    epoch: int
    """Rises with each owner: who has an older one can record nothing any more."""


@dataclass(frozen=True)
class Tried:
    """How often a message failed."""

    attempts: int
    age: float
    """Seconds since the first failure."""


@dataclass(frozen=True)
class Pending:
    """A dead letter that is to be tried again."""

    number: int
    key: str | None


class Book(Protocol):
    """What is remembered. Every method raises Transient or Permanent; those with a Hold raise LostError where the
    partition is another instance's by now, and have changed nothing then."""

    alone: bool
    """Nothing here guards who has a partition."""

    async def beat(self) -> View:
        """Show that this instance lives, and look at the others."""

    async def claim(self, place: Place, former: str | None, beat: int | None) -> Hold | None:
        """Take the partition from its former owner, None where that is not its owner any more or has another beat."""

    async def release(self, hold: Hold) -> None:
        """Give the partition back."""

    async def leave(self, gone: Collection[str]) -> None:
        """These instances are no more."""

    async def seen(self, digests: Sequence[bytes]) -> Collection[bytes]:
        """Which of these are done, or set aside."""

    async def done(self, hold: Hold, digests: Sequence[bytes]) -> None:
        """The service has done these."""

    async def failed(self, hold: Hold, digest: bytes, reason: str) -> Tried:
        """The service could not; how often that was."""

    async def bury(self, hold: Hold, message: Message, reason: str, attempts: int) -> None:
        """Set the message aside as a dead letter."""

    async def behind(self, hold: Hold, message: Message) -> bool:
        """Set the message aside if its key has dead letters; whether it had."""

    async def parked(self, hold: Hold) -> Collection[str]:
        """The keys of the partition that have dead letters."""

    async def pending(self, hold: Hold) -> Sequence[Pending]:
        """The dead letters that are to be tried again, in order."""

    async def exhume(self, number: int) -> Message | None:
        """A dead letter that is still to be tried again."""

    async def revived(self, hold: Hold, number: int, digest: bytes) -> None:
        """The service has done this dead letter."""

    async def relapsed(self, hold: Hold, number: int, reason: str) -> None:
        """It is dead again; with it those of its key that were to follow."""

    async def prune(self, window: float) -> int:
        """Forget a portion of what is older than so many seconds; how many were."""


class Forgetful:
    """``dedupe: none``: a book that keeps the tries of its own process, and nothing else."""

    alone = True

    def __init__(self) -> None:
        self._tries: dict[bytes, int] = {}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Forgetful"]:
        """Itself."""
        yield self

    async def beat(self) -> View:
        """See ``Book``."""
        return View({}, {})

    async def claim(self, place: Place, former: str | None, beat: int | None) -> Hold | None:  # noqa: ARG002
        """See ``Book``."""
        return Hold(place, 0)

    async def release(self, hold: Hold) -> None:
        """See ``Book``."""

    async def leave(self, gone: Collection[str]) -> None:
        """See ``Book``."""

    async def seen(self, digests: Sequence[bytes]) -> Collection[bytes]:  # noqa: ARG002
        """See ``Book``."""
        return ()

    async def done(self, hold: Hold, digests: Sequence[bytes]) -> None:  # noqa: ARG002
        """See ``Book``."""
        for digest in digests:
            self._tries.pop(digest, None)

    async def failed(self, hold: Hold, digest: bytes, reason: str) -> Tried:  # noqa: ARG002
        """See ``Book``; the age is not known."""
        if len(self._tries) > 100_000:
            self._tries.clear()
        self._tries[digest] = self._tries.get(digest, 0) + 1
        return Tried(self._tries[digest], 0.0)

    async def bury(self, hold: Hold, message: Message, reason: str, attempts: int) -> None:  # noqa: ARG002
        """See ``Book``: it is dropped."""
        self._tries.pop(message.digest, None)

    async def behind(self, hold: Hold, message: Message) -> bool:  # noqa: ARG002
        """See ``Book``."""
        return False

    async def parked(self, hold: Hold) -> Collection[str]:  # noqa: ARG002
        """See ``Book``."""
        return ()

    async def pending(self, hold: Hold) -> Sequence[Pending]:  # noqa: ARG002
        """See ``Book``."""
        return ()

    async def exhume(self, number: int) -> Message | None:  # noqa: ARG002
        """See ``Book``."""
        return None

    async def revived(self, hold: Hold, number: int, digest: bytes) -> None:
        """See ``Book``."""

    async def relapsed(self, hold: Hold, number: int, reason: str) -> None:
        """See ``Book``."""

    async def prune(self, window: float) -> int:  # noqa: ARG002
        """See ``Book``."""
        return 0
