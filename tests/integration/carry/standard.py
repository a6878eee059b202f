"""A service of the standard library alone: it answers one request with what each way of calling carried."""

import json
import os
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from wsgiref.simple_server import WSGIRequestHandler, make_server

URL = os.environ["URL"]
NAMES = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-request-id": "id-1"}


def call():
    with urllib.request.urlopen(URL + "/", timeout=10) as response:
        return json.load(response)["carried"]


def in_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    if environ["PATH_INFO"] == "/nothing":
        return [json.dumps(call()).encode()]
    with ThreadPoolExecutor(1) as pool:
        found = {"urllib": call(), "thread": in_thread(), "executor": pool.submit(call).result()}
    return stream(found)


def stream(found):
    yield b" "
    yield json.dumps(dict(found, stream=call())).encode()


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def ask(server, path, headers):
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = json.load(response), response.headers["x-pillion-carry"]
    thread.join()
    return answer


with make_server("127.0.0.1", 0, application, handler_class=Quiet) as server:
    found, presence = ask(server, "/", NAMES)
    nothing, _ = ask(server, "/nothing", {})
sys.stdout.write(json.dumps(dict(found, presence=presence, nothing=nothing)))
