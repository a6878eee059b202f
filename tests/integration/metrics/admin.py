"""What an agent's Envoy itself has, by its admin socket."""

import socket
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

from tests.acceptance.instance import Instance


class UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("envoy")
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def all_of_envoy(instance: Instance) -> str:
    """All of Envoy's series, also those that never counted, which a scrape leaves out."""
    (admin,) = (instance.folder / "state").rglob("admin.sock")
    with closing(UnixConnection(admin)) as connection:
        connection.request("GET", "/stats/prometheus")
        return connection.getresponse().read().decode()
