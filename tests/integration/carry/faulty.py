"""Goes through every hook point of the hook once for each of its functions, while that function raises.

Reads the functions' names from stdin, a line each; writes what went otherwise than with a whole hook, as JSON by
function. What is carried does not count: a broken hook may carry nothing.
"""

import asyncio
import importlib
import json
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from typing import Any
from wsgiref.simple_server import WSGIServer

import aiohttp
import flask
import gevent
import gevent.pool
import httpx
import requests
from pillion_carry import asyncpg, launchers, psycopg, psycopg2  # type: ignore[import-not-found]
from pillion_carry.asgi import wrapped  # type: ignore[import-not-found]

from tests.integration.carry.recorder import recording

HEADERS = {
    "HTTP_TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "HTTP_TRACESTATE": "a=1",
    "HTTP_BAGGAGE": "b=2",
    "HTTP_X_REQUEST_ID": "id-1",
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/",
    "SERVER_NAME": "x",
    "SERVER_PORT": "80",
    "wsgi.url_scheme": "http",
}
INSERT = "INSERT INTO t VALUES (1)"
work: dict[str, Callable[[str], Any]] = {}


def doing(function: Callable[[str], Any]) -> Callable[[str], Any]:
    work[function.__name__] = function
    return function


@doing
def by_requests(url: str) -> Any:
    return requests.get(url, timeout=30).status_code


@doing
def by_httpx(url: str) -> Any:
    return httpx.get(url, timeout=30).status_code


@doing
def by_httpx_async(url: str) -> Any:
    async def get() -> int:
        async with httpx.AsyncClient(timeout=30) as client:
            return (await client.get(url)).status_code

    return asyncio.run(get())


@doing
def by_aiohttp(url: str) -> Any:
    async def get() -> int:
        async with aiohttp.ClientSession() as client, client.get(url) as answer:
            return answer.status

    return asyncio.run(get())


@doing
def in_thread(url: str) -> Any:
    found: queue.Queue[Any] = queue.Queue()
    thread = threading.Thread(target=lambda: found.put(by_requests(url)))
    thread.start()
    thread.join()
    return found.get()


@doing
def in_worker(url: str) -> Any:
    todo: queue.Queue[str] = queue.Queue()
    found: queue.Queue[Any] = queue.Queue()
    thread = threading.Thread(target=lambda: found.put(by_requests(todo.get())))
    thread.start()
    todo.put(url)
    thread.join()
    return found.get()


@doing
def in_executor(url: str) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return [pool.submit(by_requests, url).result(), *pool.map(by_requests, [url])]


@doing
def in_pool(url: str) -> Any:
    with ThreadPool(1) as pool:
        return [
            *pool.map(by_requests, [url]),
            *pool.imap(by_requests, [url]),
            pool.apply(by_requests, (url,)),
        ]


@doing
def in_greenlets(url: str) -> Any:
    pool = gevent.pool.Pool(1)
    return [gevent.spawn(len, url).get() > 0, pool.map(bool, [url]), gevent.spawn_later(0, bool, url).get()]


@doing
def statements(url: str) -> Any:
    return [psycopg_execute(None, INSERT, [1])[:24], psycopg_many(None, INSERT, [])[:24]]


@doing
def statements_of_others(url: str) -> Any:
    cursor = type("Cursor", (), {"name": None})()
    return [psycopg2_execute(cursor, INSERT)[:24], asyncio.run(asyncpg_execute(None, INSERT))[:24]]


@doing
def launching(url: str) -> Any:
    return launch("program")


async def _same_later(self: Any, query: str, *args: Any, **kwargs: Any) -> str:
    return query


psycopg_execute = psycopg._executing(lambda self, query, *args, **kwargs: query)
psycopg_many = psycopg._executing_many(lambda self, query, *args, **kwargs: query)
psycopg2_execute = psycopg2._executing(lambda self, query, *args, **kwargs: query, many=False)
asyncpg_execute = asyncpg._executing(_same_later)
launch = launchers._becoming(lambda program: program)


def served(application: Any) -> Any:
    server = WSGIServer.__new__(WSGIServer)
    server.set_app(application)
    taken: Any = server.application
    told: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        told.extend([status, [pair for pair in headers if pair[0] != "x-pillion-carry"]])

    body = taken(dict(HEADERS), start)
    parts = [part.decode() for part in body]
    if hasattr(body, "close"):
        body.close()
    return told, parts


def listed(doing: Callable[[], Any]) -> Any:
    def application(environ: Any, start: Any) -> Any:
        start("200 OK", [("a", "b")])
        return [json.dumps(doing()).encode()]

    return application


def streamed(doing: Callable[[], Any]) -> Any:
    def application(environ: Any, start: Any) -> Iterator[bytes]:
        start("200 OK", [("a", "b")])
        yield json.dumps(doing()).encode()

    return application


def by_flask(doing: Callable[[], Any]) -> Any:
    app = flask.Flask("faulty")
    app.get("/")(lambda: json.dumps(doing()))
    return lambda environ, start: flask.Flask.__call__(app, {**environ, "pillion.carry.no": "1"}, start)


def by_asgi(doing: Callable[[], Any]) -> Any:
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(doing())})

    async def send(message: Any) -> None:
        sent.append({key: value for key, value in message.items() if key != "headers"})

    taken = wrapped_asgi(application)
    headers = [(b"x-request-id", b"id-1")]
    asyncio.run(taken({"type": "http", "headers": headers}, None, send))
    return sent


wrapped_asgi = wrapped


@contextmanager
def broken(name: str) -> Iterator[None]:
    """The function raises within the block."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise ArithmeticError("broken on purpose")

    module, *owners, last = name.split(".")
    there: Any = importlib.import_module(f"pillion_carry.{module}")
    for each in owners:
        there = getattr(there, each)
    was = vars(there)[last]
    setattr(there, last, property(fail) if isinstance(was, property) else fail)
    try:
        yield
    finally:
        setattr(there, last, was)


def everything(url: str) -> dict[str, Any]:
    """What each way of serving and calling brings."""
    found: dict[str, Any] = {}
    for name, function in work.items():
        found[f"list {name}"] = outcome(lambda function=function: served(listed(lambda: function(url))))
    for kind in (streamed, by_flask):
        found[kind.__name__] = outcome(lambda kind=kind: served(kind(lambda: by_requests(url))))
    found["asgi"] = outcome(lambda: by_asgi(lambda: 7))
    return found


def outcome(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except BaseException:
        return traceback.format_exc()


def main() -> None:
    with recording() as recorder:
        importlib.import_module("pillion_carry.mesh").PORTS = frozenset({recorder.server_port})
        everything(recorder.url)
        whole = everything(recorder.url)
        found: dict[str, Any] = {"": [key for key, value in whole.items() if "Traceback" in str(value)]}
        for line in sys.stdin:
            with broken(line.strip()):
                got = everything(recorder.url)
            found[line.strip()] = {key: got[key] for key in whole if got[key] != whole[key]}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
