"""What a broker gives the conformance suite: its server, and ways to make it misbehave."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from agent.config.sections.outbox import Broker

Way = Literal["plain", "tls", "proxy"]
"""Over which of the server's ports: all ask for a user and a password."""

USER, PASSWORD = "relay", "correct-hunter2"
WRONG = "wrong-hunter2"

UNHURRIED = 10.0
"""Seconds that a server may take for an answer where nothing is wrong, however busy the machine is."""
HURRIED = 2.0
"""The same where a test waits for it to be over."""


@dataclass(frozen=True)
class Stored:
    """An event as a consumer finds it."""

    topic: str
    key: str | None
    """As the broker's consumers see it, not as it was sent."""
    attributes: dict[str, str]
    """The CloudEvents attributes by name in small letters, without a prefix and decoded, with
    ``datacontenttype``, ``traceparent`` and ``tracestate``."""
    body: bytes
    token: str = ""
    """What the broker removes duplicates by; empty where it has no such thing."""


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: a CA, and the certificate and key of ``127.0.0.1`` and ``localhost`` that it signed."""

    ca: Path
    certificate: Path
    key: Path


class Rig(Protocol):
    """One broker's real server. A *place* is where one test's events go: its name is the stream's, the
    exchange's or the prefix of topics, as the broker has it; topics in it are ``<place>.<word>``."""

    name: str
    """As in the table of rigs."""
    lacks: frozenset[str]
    """What the broker knows nothing of, so that the suite leaves it out: ``refusing``, ``unroutable``,
    ``missing``, ``create``."""
    listen: int
    """The port of the way ``proxy``: the suite's proxy listens there while a test wants one."""
    target: int
    """Where that proxy connects to on this machine."""
    oversize: int
    """Bytes of a body that is more than the server takes."""

    def start(self) -> None:
        """Start the server and wait until it takes events; nothing to do when it runs. What was stored before
        a stop or a kill is there again."""

    def stop(self) -> None:
        """Stop the server in order."""

    def kill(self) -> None:
        """End it at once by SIGKILL."""

    def settings(
        self, place: str, way: Way = "plain", *, password: str = PASSWORD, create: bool = False
    ) -> Broker:
        """The section ``outbox.broker`` for the place, with the CA for the way ``tls`` and the ``timeout``
        ``UNHURRIED``."""

    async def prepare(self, place: str) -> None:
        """Make what the place needs, with ``<place>.orders`` in it."""

    async def readers_return(self, place: str) -> None:
        """Do what those who read a prepared place do once its server is back; where they do nothing, nothing."""

    async def read(self, place: str) -> list[Stored]:
        """All that is stored there, in the broker's order for each topic and key."""

    async def refusing(self, place: str) -> dict[str, Any]:
        """Make the server refuse some events of a prepared place, whatever else it takes: the fields of
        ``Event`` that mark them, such as a topic or a key."""

    def unroutable(self, place: str) -> str:
        """A topic that nobody takes in a prepared place."""
