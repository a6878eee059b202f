"""The supervisor's end of the socket to one life of the agent: JSON objects, one a line."""

import json
import socket
from collections.abc import Callable, Mapping

from agent.supervise.say import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LONGEST_LINE = 16 << 20
"""Bytes of one request; Linux itself takes no more than 6 MiB of arguments and environment."""


class Link:
    """Sends and receives without ever blocking. What can't be sent at once waits in memory.

    ``take`` is called with each message received; a line that is no JSON object is reported and skipped.
    """

    def __init__(self, connection: socket.socket, take: "Callable[[Link, dict[str, Any]], None]") -> None:
        connection.setblocking(False)
        self._connection = connection
        self._take = take
        self._received = bytearray()
        self._unsent = bytearray()
        self.open = True

    def fileno(self) -> int:
        """The descriptor, for the loop."""
        return self._connection.fileno()

    @property
    def wants_to_send(self) -> bool:
        """Whether something waits until the other end reads."""
        return bool(self._unsent)

    def send(self, message: Mapping[str, object]) -> None:
        """Send one message; to a closed link it goes nowhere."""
        if self.open:
            self._unsent += json.dumps(message).encode() + b"\n"
            self.flush()

    def flush(self) -> None:
        """Send what waits as far as the socket takes it."""
        try:
            while self._unsent:
                del self._unsent[: self._connection.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def receive(self) -> None:
        """Read what there is and hand over each whole message; the end of the stream closes the link."""
        try:
            data = self._connection.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        searched = len(self._received)
        self._received += data
        if not data or len(self._received) > LONGEST_LINE:
            self.close()
            return
        if b"\n" in data:
            self._hand_over(searched)

    def close(self) -> None:
        """Close it; closing again does nothing."""
        if self.open:
            self.open = False
            self._connection.close()

    def _hand_over(self, searched: int) -> None:
        last = self._received.rindex(b"\n", searched)
        lines = bytes(self._received[:last]).split(b"\n")
        del self._received[: last + 1]
        for line in lines:
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                message = None
            if isinstance(message, dict):
                self._take(self, message)
            else:
                say("error", "agent.unreadable_request", length=len(line))
