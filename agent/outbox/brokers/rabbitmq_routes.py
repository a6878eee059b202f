"""Topics that no queue of an exchange takes just now, and for how long that may pass by itself. Pure.

A cluster forgets the routes to a classic queue while the node that has it is away, durable or not, and what only that
queue takes comes back as if nothing were bound. Sources: rabbitmq-server 3.10, ``rabbit_amqqueue.erl``
(``delete_queues_on_node_down``) and ``rabbit_binding.erl`` (``remove_transient_for_destination``).
"""

from collections.abc import Callable

PATIENCE = 120.0
"""Seconds that a topic may go without a queue before its events are refused; a node's restart takes less."""
MOST = 1000
"""Topics that are remembered; an event of one more is refused at once."""


class Routes:
    """Remembers since when topics go without a queue. ``clock`` returns seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def may_return(self, topic: str) -> bool:
        """No queue took the topic: whether one may yet, without a person's help."""
        now = self._clock()
        if topic not in self._since and len(self._since) >= MOST:
            return False
        return now - self._since.setdefault(topic, now) < PATIENCE

    def taken(self, topic: str) -> None:
        """The topic's queues have an event of it."""
        if self._since:
            self._since.pop(topic, None)
