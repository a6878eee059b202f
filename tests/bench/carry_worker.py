"""A service's interpreter for ``carry``: runs one case as often as it is told, and says how long it took.

Whether the hook is in it is its starter's choice, by PYTHONPATH. Input lines are ``CASE TIMES``; each is answered
by nanoseconds for one turn.
"""

import http.client
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from wsgiref.simple_server import WSGIServer
from wsgiref.util import setup_testing_defaults

CALLS = 20
"""Outgoing calls in one request."""
HEADERS = {
    "HTTP_TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "HTTP_TRACESTATE": "vendor=a1,other=b2",
    "HTTP_BAGGAGE": "user=1,tier=gold",
    "HTTP_X_REQUEST_ID": "3f2c1b8e-8a55-4e53-9d7a-0d8f6f5b2c11",
    "PATH_INFO": "/",
    "REQUEST_METHOD": "GET",
}
Served = Callable[[], object]


class Unsent(http.client.HTTPConnection):
    """A connection that makes the whole request and sends it nowhere."""

    def send(self, data: Any) -> None:
        """Nothing."""


def call(host: str) -> None:
    """One outgoing call, as urllib3 makes it."""
    connection = Unsent(host)
    connection.putrequest("GET", "/items", skip_accept_encoding=True)
    for name, value in (("Accept", "*/*"), ("Accept-Encoding", "gzip"), ("User-Agent", "x")):
        connection.putheader(name, value)
    connection.endheaders()


def served(application: Any) -> Served:
    """One whole request to the application, as a server takes and calls it."""
    server = WSGIServer.__new__(WSGIServer)
    server.set_app(application)
    taken: Any = server.application
    environ: dict[str, Any] = dict(HEADERS)
    setup_testing_defaults(environ)

    def request() -> None:
        body = taken(dict(environ), lambda status, headers, exc_info=None: None)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()

    return request


def answering(work: Callable[[], object] = lambda: None, body: Callable[[], Any] = lambda: [b"ok"]) -> Served:
    def application(environ: Any, start_response: Any) -> Any:
        work()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body()

    return served(application)


def flask() -> Served:
    import flask

    app = flask.Flask("bench")
    app.get("/")(lambda: "ok")
    return served(app)


def httpcore(host: str) -> Served:
    import httpcore

    answer = [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]
    # Without the hook by hand: four more headers cost this library more than the hook does.
    names = () if "pillion_carry.hook" in sys.modules else tuple(HEADERS)[:4]
    own = [(name[5:].replace("_", "-").lower(), HEADERS[name]) for name in names]

    def work() -> None:
        for _ in range(CALLS):
            pool = httpcore.ConnectionPool(network_backend=httpcore.MockBackend(answer))
            pool.request("GET", f"http://{host}/items", headers=own)

    return answering(work)


def case(name: str) -> Served:
    """The work of one turn."""
    pool = ThreadPoolExecutor(1)
    made: dict[str, Callable[[], Served]] = {
        "incoming": answering,
        "incoming-stream": lambda: answering(body=lambda: (part for part in (b"a", b"b"))),
        "incoming-flask": flask,
        "first-call": lambda: answering(lambda: call("orders")),
        "calls": lambda: answering(lambda: [call("orders") for _ in range(CALLS)]),
        "calls-elsewhere": lambda: answering(lambda: [call("api.example.com") for _ in range(CALLS)]),
        "calls-httpcore": lambda: httpcore("orders"),
        "executor": lambda: answering(lambda: pool.submit(int).result()),
    }
    return made[name]()


def timed(request: Served, times: int) -> float:
    """Nanoseconds of CPU time for one turn: other programs on the machine do not count."""
    began = time.process_time_ns()
    for _ in range(times):
        request()
    return (time.process_time_ns() - began) / times


def main() -> None:
    """Answer each line; a case is made once."""
    known: dict[str, Served] = {}
    for line in sys.stdin:
        name, times = line.split()
        if name == "memory":
            sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\n")
        else:
            request = known.setdefault(name, known.get(name) or case(name))
            sys.stdout.write(f"{timed(request, int(times))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
