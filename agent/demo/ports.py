"""The ports of the demo's servers: the ones that people know, or free ones."""

import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from agent.runtime.errors import Permanent
from agent.runtime.ports import PortBook


@dataclass(frozen=True)
class Ports:
    """Where each server of the demo listens on 127.0.0.1. The defaults are each server's own."""

    gateway: int = 10000
    consul: int = 8500
    dns: int = 8600
    jaeger: int = 16686
    otlp: int = 4318
    nats: int = 4222
    postgres: int = 5432

    @classmethod
    def free(cls, book: PortBook) -> "Ports":
        """Ports on which nothing listens now. Raises Permanent when there are none."""
        return cls(**{field.name: book.keep(field.name, "127.0.0.1", 0) for field in fields(cls)})

    def check(self) -> None:
        """Raise Permanent naming every port on which something listens already, and what to do about it."""
        taken = [f"{port} ({name})" for name, port in asdict(self).items() if not _can_bind(port)]
        if taken:
            raise Permanent(
                f"in use on 127.0.0.1: {', '.join(taken)}; end what listens there (`ss -ltnp` names it) "
                "or let the demo choose: pillion demo --ports free"
            )


def _can_bind(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            # As the servers do it: a port on which only ended connections linger is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def book(folder: Path) -> PortBook:
    """The demo's free ports; outside the range from which the kernel takes ports for outgoing connections."""
    return PortBook(folder / "ports.json")
