"""An ordinary Flask application that handles no header: each route calls another service in its own way."""

import asyncio
import http.client
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import flask
import httpx
import requests
import urllib3

app = flask.Flask(__name__)
pool = ThreadPoolExecutor(4)
later: list[Any] = []


def by_requests(url: str) -> Any:
    return requests.get(url, timeout=10).json()


def by_urllib(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def by_urllib3(url: str) -> Any:
    proxy = urllib.request.getproxies().get("http")
    manager = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
    return json.loads(manager.request("GET", url, timeout=10).data)


def by_http_client(url: str) -> Any:
    proxy = urllib.request.getproxies()["http"].rpartition("/")[2]
    connection = http.client.HTTPConnection(proxy, timeout=10)
    connection.request("GET", url)
    return json.load(connection.getresponse())


def by_tunnel(url: str) -> Any:
    proxy = urllib.request.getproxies()["http"].rpartition("/")[2]
    connection = http.client.HTTPConnection(proxy, timeout=10)
    connection.set_tunnel(url.split("/")[2], 80)
    connection.request("GET", "/in-a-tunnel")
    return json.load(connection.getresponse())


def by_httpx(url: str) -> Any:
    return httpx.get(url, timeout=10).json()


def by_httpx_async(url: str) -> Any:
    async def get() -> Any:
        async with httpx.AsyncClient(timeout=10) as client:
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
    return requests.get(flask.request.args["url"], headers=mine, timeout=10).json()


@app.get("/follow")
def follow() -> Any:
    clients = {"requests": requests.get, "httpx": lambda url: httpx.get(url, follow_redirects=True)}
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
    return [gevent.spawn(by_requests, url).get(), gevent.pool.Pool(2).spawn(by_requests, url).get()]


@app.get("/stream")
def stream() -> Any:
    url = flask.request.args["url"]

    def parts() -> Iterator[str]:
        for number in range(3):
            yield json.dumps(by_requests(f"{url}/{number}")) + "\n"

    response = flask.Response(parts())
    response.call_on_close(lambda: by_requests(f"{url}/closed"))
    return response


@app.get("/file")
def file() -> Any:
    return flask.send_file(__file__)


@app.get("/boom")
def boom() -> Any:
    raise RuntimeError("the application's own")
