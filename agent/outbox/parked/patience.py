"""How long a key has failed while others got through. Pure."""

from collections.abc import Callable

from agent.outbox.delivery import Delivery
from agent.outbox.events import Event

MOST = 10_000
"""Keys that are remembered; where more fail at once it is not about keys."""


class Patience:
    """Remembers since when keys fail. ``clock`` returns seconds."""

    def __init__(self, hold_after: float, clock: Callable[[], float]) -> None:
        """``hold_after`` in seconds; 0: nothing is ever held."""
        self._hold_after = hold_after
        self._clock = clock
        self._since: dict[str | int, float] = {}
        self._heard = -1.0

    def is_up(self, event: Event, alone: bool) -> bool:
        """Whether the event's key is held if it fails now.

        Only if anything was acknowledged since it began to fail, or ``alone`` tells that the broker is well: else
        the trouble is the broker's, and all keys would be held one after the other.
        """
        since = self._since.get(_name(event))
        if since is None or self._hold_after <= 0:
            return False
        return (alone or self._heard > since) and self._clock() - since >= self._hold_after

    def settle(self, delivery: Delivery) -> None:
        """Take in what became of a page."""
        now = self._clock()
        if delivery.acknowledged:
            self._heard = now
            if self._since:
                for number in delivery.done:
                    self._since.pop(_name(delivery.events[number]), None)
        for number in delivery.failed:
            if len(self._since) < MOST:
                self._since.setdefault(_name(delivery.events[number]), now)
        for aside in delivery.set_aside:
            self._since.pop(_name(aside.event), None)


def _name(event: Event) -> str | int:
    return event.row if event.key is None else event.key
