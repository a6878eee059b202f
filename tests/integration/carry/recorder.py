"""A proxy that forwards nothing: it answers every request with what it received, and keeps it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CARRIED = ("traceparent", "tracestate", "baggage", "x-request-id")


class Recorder(ThreadingHTTPServer):
    """``seen`` holds a value of method, target and carried headers for each request.

    ``?redirect=URL`` is answered by a redirect, ``?once=503`` by that status the first time.
    """

    daemon_threads = True
    request_queue_size = 512

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.seen: list[dict[str, Any]] = []
        self.refused: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def of(self, target: str) -> dict[str, Any]:
        """The one request with this target."""
        (found,) = [one for one in self.seen if one["target"] == target]
        return found


class Answer(BaseHTTPRequestHandler):
    """One connection's requests."""

    protocol_version = "HTTP/1.1"
    server: Recorder

    def do_GET(self) -> None:
        carried = {name: self.headers[name] for name in CARRIED if name in self.headers}
        twice = [name for name in CARRIED if len(self.headers.get_all(name, [])) > 1]
        peer = self.client_address[1]
        one = {
            "method": self.command, "target": self.path, "carried": carried, "twice": twice, "peer": peer,
        }  # fmt: skip
        self.server.seen.append(one)
        if self.command == "CONNECT":
            self.send_response_only(200, "Connection established")
            self.end_headers()
            self.close_connection = False  # also after HTTP/1.0, which older clients say
            return
        redirected = self.path.partition("?redirect=")[2]
        body = json.dumps(one).encode()
        self.send_response(302 if redirected else self._status())
        if redirected:
            self.send_header("Location", redirected)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _status(self) -> int:
        once = self.path.partition("?once=")[2]
        if not once or self.path in self.server.refused:
            return 200
        self.server.refused.add(self.path)
        return int(once)

    do_CONNECT = do_POST = do_GET  # noqa: N815 the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def recording() -> Iterator[Recorder]:
    """A recorder that runs in a thread of its own."""
    recorder = Recorder()
    thread = threading.Thread(target=recorder.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield recorder
    finally:
        recorder.shutdown()
        thread.join()
        recorder.server_close()
