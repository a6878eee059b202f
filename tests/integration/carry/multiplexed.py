"""A service that speaks HTTP/2 only: it answers every request with the headers that it received."""

import collections
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h2.config
import h2.connection
import h2.events

from tests.integration.carry.recorder import CARRIED


class Connection(socketserver.BaseRequestHandler):
    """One connection's requests."""

    def handle(self) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="ascii")
        connection = h2.connection.H2Connection(config)
        connection.initiate_connection()
        self.request.sendall(connection.data_to_send())
        while data := self.request.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self._answer(connection, event)
            self.request.sendall(connection.data_to_send())

    def _answer(self, connection: h2.connection.H2Connection, asked: Any) -> None:
        names = collections.Counter(name for name, _ in asked.headers)
        body = json.dumps(
            {
                "carried": {name: value for name, value in asked.headers if name in CARRIED},
                "twice": [name for name in CARRIED if names[name] > 1],
                "peer": self.client_address[1],
            }
        ).encode()
        head = [(":status", "200"), ("content-type", "application/json")]
        connection.send_headers(asked.stream_id, head)
        connection.send_data(asked.stream_id, body, end_stream=True)


class Server(socketserver.ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1."""

    daemon_threads = True
    request_queue_size = 128

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


@contextmanager
def multiplexed() -> Iterator[Server]:
    """A server that runs in a thread of its own."""
    with Server(("127.0.0.1", 0), Connection) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
