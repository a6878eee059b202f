"""What Envoy has said about the configuration that it was sent."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """A resource type's update that Envoy refused, with Envoy's own words."""

    type: str
    """Short name: ``listener``, ``cluster``, ``endpoint`` or ``route``."""
    snapshot: str
    message: str


@dataclass(frozen=True)
class Revision:
    """The state of delivery to Envoy; snapshots are named by their hash."""

    sent: str = ""
    """The newest snapshot offered; empty before the first."""
    in_force: str = ""
    """The newest snapshot that Envoy accepted whole; empty before the first, kept over a later refusal."""
    refusals: tuple[Refusal, ...] = ()
    connected: bool = False
    """An Envoy is on the stream now."""

    @property
    def serving(self) -> bool:
        """Some accepted snapshot is in force in a connected Envoy."""
        return self.connected and bool(self.in_force)
