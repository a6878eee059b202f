"""What the walk needs of a system, wherever and however that runs."""

from collections.abc import Sequence
from typing import Protocol


class System(Protocol):
    """The sample system with all its instances up, reachable from this machine.

    An instance's label is what it answers as ``served_by``; ``gateway`` is a label as well. ``lose`` and
    ``launch`` must leave the event loop free while they wait for anything: requests are sent meanwhile.
    """

    @property
    def gateway(self) -> str:
        """The URL in front of all services."""
        ...

    @property
    def consul(self) -> str:
        """Consul's URL."""
        ...

    @property
    def token(self) -> str:
        """The token for Consul that may read services and write below ``config/``; empty where none is needed."""
        ...

    @property
    def jaeger(self) -> str:
        """The URL of Jaeger's query API."""
        ...

    @property
    def nats(self) -> str:
        """The broker's URL, with credentials where it wants some; so it is never shown."""
        ...

    @property
    def dns(self) -> int:
        """The port of Consul's DNS on 127.0.0.1."""
        ...

    async def lose(self, label: str) -> str:
        """End an instance as a lost machine does: at once and without a good-bye; what that was, in words."""
        ...

    async def launch(self, label: str) -> None:
        """Start a lost instance again, under the same id, without waiting until it is ready."""
        ...

    async def metrics(self, label: str) -> str:
        """One scrape of an instance's agent. Raises OSError when that does not answer."""
        ...

    async def status(self, label: str) -> str:
        """What an instance's agent says of itself, as JSON. Raises OSError when that does not answer."""
        ...

    async def page(self, label: str) -> str:
        """The instance's status page, as HTML. Raises OSError when its agent does not answer."""
        ...

    def inbound_ports(self, service: str) -> Sequence[int]:
        """The ports on which the agents of the service's instances receive, one for each instance."""
        ...
