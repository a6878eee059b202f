"""Sockets that notice a peer which is gone without a word.

A blocking query sends nothing while it waits, so a Consul whose machine, pod or network namespace is gone would be
waited for until the query's own deadline, 37 s. The kernel asks instead.
"""

import socket
from typing import Any

IDLE = 4
"""Seconds of silence after which the kernel asks the other side whether it is still there."""
AGAIN = 2
"""Seconds between two such questions."""
GONE = 8000
"""Milliseconds without a sign of life after which the connection is broken, whatever waits on it."""


def watched(where: tuple[Any, ...]) -> socket.socket:
    """A TCP socket for an entry of ``getaddrinfo`` that breaks 8 to 10 s after the last sign of its peer's life.

    Source: tcp(7); with TCP_USER_TIMEOUT it is the time that counts, not the number of questions. A process that is
    only stopped is not noticed: its kernel answers for it.
    """
    family, kind, protocol = where[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, AGAIN)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE)
    return made
