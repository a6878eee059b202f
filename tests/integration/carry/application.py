"""An ordinary Flask application that handles no header: each route calls another service in its own way."""

from __future__ import annotations  # the oldest Python that the hook works on runs it too

import asyncio
import functools
import http.client
import json
import multiprocessing
import queue
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from typing import Any

import aiohttp
import flask
import httpx
import requests
import urllib3

cached = functools.lru_cache(maxsize=None)  # the oldest Python has no functools.cache
app = flask.Flask(__name__)
pool = ThreadPoolExecutor(4)
inner = ThreadPoolExecutor(4)
session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(max_retries=urllib3.Retry(3, status_forcelist=[503])))
later: list[Any] = []


def by_requests(url: str) -> Any:
    return requests.get(url, timeout=30).json()


def by_session(url: str) -> Any:
    return session.get(url, timeout=30).json()


def by_urllib(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)


def by_urllib3(url: str) -> Any:
    proxy = urllib.request.getproxies().get("http")
    manager = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
    return json.loads(manager.request("GET", url, timeout=30).data)


def by_http_client(url: str) -> Any:
    proxy = urllib.request.getproxies()["http"].rpartition("/")[2]
    connection = http.client.HTTPConnection(proxy, timeout=30)
    connection.request("GET", url)
    return json.load(connection.getresponse())


def by_tunnel(url: str) -> Any:
    proxy = urllib.request.getproxies()["http"].rpartition("/")[2]
    connection = http.client.HTTPConnection(proxy, timeout=30)
    connection.set_tunnel(url.split("/")[2], 80)
    connection.request("GET", "/in-a-tunnel")
    return json.load(connection.getresponse())


def by_httpx(url: str) -> Any:
    return httpx.get(url, timeout=30).json()


def by_httpx_async(url: str) -> Any:
    async def get() -> Any:
        async with httpx.AsyncClient(timeout=30) as client:
            return (await client.get(url)).json()

    return asyncio.run(get())


@cached
def http_two() -> httpx.Client:
    """One connection for all requests of the process, however long nobody asks."""
    kept = httpx.Limits(keepalive_expiry=None)
    return httpx.Client(http1=False, http2=True, trust_env=False, timeout=30, limits=kept)


def by_httpx_two(url: str) -> Any:
    return http_two().get(url).json()


def by_httpx_two_async(url: str) -> Any:
    async def get() -> Any:
        async with httpx.AsyncClient(http1=False, http2=True, trust_env=False, timeout=30) as client:
            return (await client.get(url)).json()

    return asyncio.run(get())


def by_aiohttp(url: str) -> Any:
    async def get() -> Any:
        async with aiohttp.ClientSession(trust_env=True) as session, session.get(url) as response:
            return await response.json()

    return asyncio.run(get())


CLIENTS: dict[str, Callable[[str], Any]] = {
    name[3:]: value for name, value in globals().items() if name.startswith("by_")
}


@app.get("/call/<client>")
def call(client: str) -> Any:
    return CLIENTS[client](flask.request.args["url"])


@app.get("/own-headers")
def own_headers() -> Any:
    mine = {name: flask.request.args[name] for name in flask.request.args if name != "url"}
    return requests.get(flask.request.args["url"], headers=mine, timeout=30).json()


@app.get("/follow")
def follow() -> Any:
    clients = {
        "requests": requests.get,
        "httpx": lambda url: httpx.get(url, follow_redirects=True, timeout=30),
    }
    return clients[flask.request.args["client"]](flask.request.args["url"]).json()


@app.get("/thread")
def thread() -> Any:
    url, found = flask.request.args["url"], []
    work = threading.Thread(target=lambda: found.append(by_requests(url)))
    work.start()
    work.join()
    return found[0]


@app.get("/executor")
def executor() -> Any:
    url = flask.request.args["url"]
    return list(pool.map(by_requests, [f"{url}/{number}" for number in range(3)]))


@app.get("/nested-executor")
def nested_executor() -> Any:
    url = flask.request.args["url"]
    return pool.submit(lambda: inner.submit(by_requests, url).result()).result()


@app.get("/thread-pool")
def thread_pool() -> Any:
    url = flask.request.args["url"]
    return shared_thread_pool().map(by_requests, [f"{url}/{number}" for number in range(3)])


@cached
def shared_thread_pool() -> ThreadPool:
    """Made by whoever comes first, used by all."""
    return ThreadPool(2)


async def in_executor(url: str) -> Any:
    return await asyncio.get_running_loop().run_in_executor(pool, by_requests, url)


async def in_default_executor(url: str) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, by_requests, url)


async def in_task(url: str) -> Any:
    async def get() -> Any:
        async with aiohttp.ClientSession(trust_env=True) as client, client.get(url) as response:
            return await response.json()

    return await asyncio.create_task(get())


ASYNC: dict[str, Callable[[str], Any]] = {
    "run_in_executor": in_executor,
    "default executor": in_default_executor,
    "create_task": in_task,
    "to_thread": lambda url: asyncio.to_thread(by_requests, url),
}


@app.get("/asyncio")
def asyncio_in_a_sync_view() -> Any:
    return asyncio.run(ASYNC[flask.request.args["how"]](flask.request.args["url"]))


@cached
def background_loop() -> asyncio.AbstractEventLoop:
    """Made by whoever comes first, used by all."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


@app.get("/background-loop")
def on_a_background_loop() -> Any:
    return asyncio.run_coroutine_threadsafe(in_task(flask.request.args["url"]), background_loop()).result()


@cached
def jobs() -> queue.Queue[tuple[str, queue.Queue[Any]]]:
    """A queue with a worker that whoever comes first starts for all."""
    made: queue.Queue[tuple[str, queue.Queue[Any]]] = queue.Queue()

    def work() -> None:
        while True:
            url, answer = made.get()
            answer.put(by_requests(url))

    threading.Thread(target=work, daemon=True).start()
    return made


@app.get("/queue")
def by_a_queue() -> Any:
    answer: queue.Queue[Any] = queue.Queue()
    jobs().put((flask.request.args["url"], answer))
    return answer.get(timeout=30)


@app.get("/own-queue")
def workers_of_one_request() -> Any:
    url, todo, done = flask.request.args["url"], queue.Queue[str](), queue.Queue[Any]()
    for number in range(4):
        todo.put(f"{url}/{number}")
    threads = [threading.Thread(target=lambda: done.put(by_requests(todo.get()))) for _ in range(4)]
    for one in threads:
        one.start()
    return [done.get(timeout=30) for _ in threads]


@app.get("/process")
def process() -> Any:
    here, there = multiprocessing.Pipe()
    url = flask.request.args["url"]
    child = multiprocessing.get_context("fork").Process(target=lambda: there.send(by_requests(url)))
    child.start()
    answer = here.recv()
    child.join()
    return answer


@app.get("/after")
def after() -> Any:
    """Work that goes on when the response is gone."""
    url, go = flask.request.args["url"], threading.Event()
    later.append(go)

    def work() -> None:
        go.wait(10)
        by_requests(url)

    threading.Thread(target=work).start()
    return {}


@app.get("/go")
def go() -> Any:
    later.pop().set()
    return {}


@app.get("/greenlet")
def greenlet() -> Any:
    import gevent
    import gevent.pool

    url = flask.request.args["url"]
    pool = gevent.pool.Pool(2)
    return [
        gevent.spawn(by_requests, url).get(),
        gevent.spawn_later(0.01, by_requests, url).get(),
        pool.spawn(by_requests, url).get(),
        *pool.map(by_requests, [url]),
        *pool.imap_unordered(by_requests, [url]),
        pool.apply_async(by_requests, (url,)).get(),
        gevent.get_hub().threadpool.spawn(by_http_client, url).get(),
    ]


@app.get("/stream")
def stream() -> Any:
    url = flask.request.args["url"]

    def parts() -> Iterator[str]:
        for number in range(3):
            yield json.dumps(by_requests(f"{url}/{number}")) + "\n"

    response = flask.Response(parts())
    response.call_on_close(lambda: by_requests(f"{url}/closed"))
    return response


@app.get("/stream-with-context")
def stream_with_context() -> Any:
    def parts() -> Iterator[str]:
        for number in range(3):
            yield json.dumps(by_requests(f"{flask.request.args['url']}/{number}")) + "\n"

    return flask.Response(flask.stream_with_context(parts()))


@app.get("/endless")
def endless() -> Any:
    """A body that ends only when its client goes."""
    url = flask.request.args["url"]

    def parts() -> Iterator[bytes]:
        try:
            while True:
                yield b"." * 65536
        finally:
            by_requests(f"{url}/gone")

    return flask.Response(parts())


@app.get("/file")
def file() -> Any:
    return flask.send_file(__file__)


@app.get("/boom")
def boom() -> Any:
    raise RuntimeError("the application's own")
