"""Where messages come from: one module a broker, chosen by the scheme of ``inbox.broker.url`` and imported only
then."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from agent.config.sections.inbox import InboxBroker
from agent.outbox.inbox.message import Parcel
from agent.runtime.errors import Misconfigured, Problem


class Stream(Protocol):
    """A live connection to one partition of a topic.

    What it hands out is in the partition's order, from the first message that was not settled; only one handed-out
    copy of a message is open at a time. What is neither settled nor kept alive is handed out again, here or to who
    comes next; a message is never requeued behind others.
    """

    async def fetch(self) -> Sequence[Parcel]:
        """What came, at least one; waits for it. Raises Transient when the connection is gone."""

    async def done(self, parcel: Parcel) -> None:
        """Acknowledge it. A lost acknowledgement is no error: it comes again, and is known then."""

    async def dead(self, parcel: Parcel) -> None:
        """It was set aside: the broker is not to hand it out again."""

    async def keep(self, parcels: Sequence[Parcel]) -> None:
        """These are still being worked on or wait: they are not to be handed out again yet."""


class Source(Protocol):
    """A broker that messages come from."""

    name: str
    """As in settings and spans."""

    keep_every: float
    """Seconds between two words that an open message is being worked on."""

    def open(self, topic: str, *, alone: bool) -> AbstractAsyncContextManager[Stream]:
        """The partition ``topic`` for the body; who had it before gets nothing of it any more.

        ``alone``: nobody else guards who may have it, so the one who has it now is waited for. Raises Transient or
        Permanent while it can't be had; either may be tried again later.
        """


SOURCES: Mapping[str, tuple[str, str]] = {
    "nats": ("agent.outbox.inbox.sources.nats", "nats"),
    "tls": ("agent.outbox.inbox.sources.nats", "nats"),
}
"""By scheme of the URL: the module and the extra that brings its driver."""


def make(settings: InboxBroker, url: str, read: Callable[[], str], consumer: str, lease: float) -> Source:
    """The source that the URL names; ``read`` gives the newest URL. Raises Misconfigured."""
    scheme = url.partition("://")[0].strip().lower() if "://" in url else ""
    if scheme not in SOURCES:
        known = ", ".join(f"{each}://" for each in SOURCES)
        raise Misconfigured(
            [
                Problem(
                    "inbox.broker.url",
                    "has a scheme that the inbox does not know",
                    f"an URL with one of {known}",
                )
            ]
        )
    module, extra = SOURCES[scheme]
    try:
        made: Source = importlib.import_module(module).make(settings, read, consumer, lease)
    except ImportError as error:
        wrong = f"needs a driver that is not installed ({error.name})"
        raise Misconfigured(
            [Problem("inbox.broker.url", wrong, f"pip install 'pillion[{extra}]'")]
        ) from error
    return made
