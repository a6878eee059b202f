"""What `pillion doctor` looks at in brokers: the outbox's as the relay would, the inbox's from outside."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from agent.config.settings import Settings
from agent.doctor.finding import Finding, ok, problem, warning
from agent.outbox import brokers, events
from agent.outbox.feeds import feeds
from agent.runtime.errors import Misconfigured, PillionError
from agent.runtime.words import words
from agent.wiring import drivers

WITHIN = 5.0
"""Seconds for a connection."""
PORTS = {
    "nats": 4222, "tls": 4222, "kafka": 9092, "kafka+ssl": 9092, "amqp": 5672, "amqps": 5671, "redis": 6379,
    "rediss": 6379,
}  # fmt: skip
MISSING = "set outbox.broker.create"
"""How a broker ends what it says of a stream, topic or exchange that is not there."""


INSTALL = "Install what is named there, or mend"


class Silent:
    """Takes what becomes of events, of which none is sent."""

    def acknowledged(self, number: int) -> None:
        """Nothing is sent."""

    def refused(self, number: int, reason: str, *, own: bool = True) -> None:
        """Nothing is sent."""

    def later(self, number: int, reason: str, delay: float = 0.0) -> None:
        """Nothing is sent."""

    def lost(self, reason: str) -> None:
        """Nobody waits."""


async def outbox(settings: Settings) -> Sequence[Finding]:
    """``outbox.broker``: a link is had as the relay has it, and nothing is made or sent."""
    subject = "the outbox's broker"
    given, name = settings.outbox.broker, settings.service.name
    try:
        # Whatever is missing is only missed.
        broker = brokers.make(
            msgspec.structs.replace(given, create=False), name, durable=settings.outbox.require_durable
        )
        found = feeds(settings.outbox)
        partitions = settings.outbox.partitions
        topics = frozenset[str]().union(*(events.patterns(feed, name, partitions) for feed in found))
        async with broker.link(Silent(), topics) as link:
            return _linked(f"{subject} ({broker.name})", link.warnings)
    except PillionError as error:
        said = str(error)
        if given.create and said.endswith(MISSING):
            return [ok("outbox.broker", subject, f"it answers; the relay will make what is missing ({said})")]
        return [problem("outbox.broker", subject, said, _todo(error))]


def _linked(subject: str, warned: Sequence[str]) -> list[Finding]:
    todo = "Mend it there; outbox.require_durable has the relay publish nothing until then."
    return [warning("outbox.broker", subject, one, todo) for one in warned] or [
        ok("outbox.broker", subject, "it answers, and has what is published to")
    ]


def _todo(error: PillionError) -> str:
    if isinstance(error, Misconfigured):
        return (
            f"{INSTALL} outbox.broker."
            if "not installed" in str(error)
            else "Mend the settings of outbox.broker."
        )
    if MISSING in str(error):
        return "Create it, or set outbox.broker.create to true and let the relay do it."
    return "Start it, or mend outbox.broker.url(_file); events wait in the database meanwhile, none is lost."


async def inbox(settings: Settings) -> Sequence[Finding]:
    """``inbox.broker``: whether its port answers. Reading there would take messages from a running agent."""
    subject = "the inbox's broker"
    key = "inbox.broker.url" if settings.inbox.broker.url else "outbox.broker.url"
    url = settings.inbox.broker.url or settings.outbox.broker.url
    lacking = [one for one in drivers.inbox(settings) if one.key == key]
    if lacking:
        return [problem("inbox.broker", subject, str(one), f"{INSTALL} {key}(_file).") for one in lacking]
    todo = f"Start it, or mend {key}(_file); messages wait there meanwhile."
    reasons = []
    for host, port in _places(url):
        try:
            async with asyncio.timeout(WITHIN):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            said = words(error)
            reasons.append(said if f"{host}:{port}" in said else f"{said} ({host}:{port})")
        else:
            writer.close()
            return [ok("inbox.broker", subject, f"{host}:{port} takes connections")]
    said = "; ".join(reasons) or "its URL names no host"
    return [problem("inbox.broker", subject, f"it does not answer: {said}", todo)]


def _places(url: str) -> list[tuple[str, int]]:
    """The servers of a URL in the form of its broker; none of what may be a secret."""
    scheme, _, rest = url.partition("://")
    scheme, found = scheme.strip().lower(), []
    for one in _servers(scheme, rest):
        try:
            parts = urlsplit(f"//{one.rpartition('://')[2].partition('/')[0].rpartition('@')[2]}")
            if parts.hostname:
                found.append((parts.hostname, parts.port or PORTS.get(scheme, 0)))
        except ValueError:
            continue
    return found


def _servers(scheme: str, rest: str) -> list[str]:
    if scheme.startswith("kafka"):  # user and password stand once, before all of them
        return rest.rpartition("@")[2].split(",")
    if scheme.startswith("redis"):
        return [rest]
    return [one.strip() for one in rest.split(",")]  # whole URLs
