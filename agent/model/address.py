"""A host and a port."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Address:
    """Where something listens. ``port`` 0 in a setting means: choose a free one and keep it."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read ``host:port`` or ``[v6]:port``; raises ValueError with a clause that says what is wrong."""
        host, colon, port = text.rpartition(":")
        if not colon or not host:
            raise ValueError(f"is {text!r}, not HOST:PORT")
        if not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"has the port {port!r}, not a number from 0 to 65535")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
