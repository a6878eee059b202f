"""Free ports that are chosen once and kept over restarts."""

import json
import random
import socket
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path

from agent.runtime.errors import Permanent
from agent.runtime.files import write_atomically

RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST, HIGHEST = 20000, 65535
"""Below 20000 live the well-known servers of a developer's machine (16686 is Jaeger's page), and the ports that the
tests hand out: a port chosen by one program is none that another was told to take a moment later."""
DEFAULTS = range(15000, 15500)
"""Where an agent's listeners are by default: a chosen port among them would be another setting's too."""


class PortBook:
    """The ports of one agent by the name of what listens there, in a JSON file of its state folder.

    A file that can't be read as such a book counts as empty: ports are then chosen anew.
    """

    def __init__(self, path: Path, shuffle: Callable[[list[int]], None] = random.shuffle) -> None:
        self._path = path
        self._shuffle = shuffle

    def keep(self, name: str, host: str, port: int) -> int:
        """``port`` itself unless it is 0; for 0 the port kept for ``name``, at first a free one of
        ``host``.

        A kept port is returned even while another process has it: what was registered stays true. Raises
        Permanent when no port is free, OSError when the book can't be written.
        """
        if port:
            return port
        book = self._read()
        if name not in book:
            book[name] = choose(host, set(book.values()), self._shuffle)
            write_atomically(self._path, json.dumps(book, indent=1, sort_keys=True).encode() + b"\n")
        return book[name]

    def _read(self) -> dict[str, int]:
        try:
            content = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(content, dict):
            return {}
        return {name: port for name, port in content.items() if type(port) is int and 0 < port <= HIGHEST}


def choose(
    host: str, taken: Container[int] = (), shuffle: Callable[[list[int]], None] = random.shuffle
) -> int:
    """A port of ``host`` that is free now and none of ``taken``; raises Permanent when there is none."""
    for span in _spans():
        ports = list(span)
        shuffle(ports)
        for port in ports:
            if port not in taken and port not in DEFAULTS and is_free(host, port):
                return port
    raise Permanent(f"no port is free on {host} outside the kernel's ephemeral range; give fixed ports")


def _spans() -> Iterator[Sequence[int]]:
    """Ports to choose from, best first.

    The kernel takes none of the first three for outgoing connections; the last is for a machine whose
    ephemeral range leaves nothing.
    """
    try:
        low, high = (int(word) for word in RANGE_FILE.read_text().split())
    except (OSError, ValueError):
        low, high = 32768, 60999
    yield range(LOWEST, min(low, HIGHEST + 1))
    yield range(max(high + 1, LOWEST), HIGHEST + 1)
    yield range(1024, min(low, LOWEST))
    yield range(LOWEST, HIGHEST + 1)


def is_free(host: str, port: int) -> bool:
    """Whether both TCP and UDP can be bound: the name does not say which one will listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True
