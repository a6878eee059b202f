"""A long-lived service with the hook grows by nothing."""

import gc
import http.client
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.unit.carry.conftest import Hook

REQUESTS = 50_000
BOUND = 64 * 1024
"""Bytes: what one byte and a bit for each request would come to."""


class Unsent(http.client.HTTPConnection):
    def send(self, data: Any) -> None:
        """Nothing leaves."""


@pytest.fixture
def _patched(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    ending = hook.http_client._ending(http.client.HTTPConnection.endheaders)
    monkeypatch.setattr(Unsent, "endheaders", ending, raising=False)
    monkeypatch.setattr(threading.Thread, "start", hook.threads._starting(threading.Thread.start))
    monkeypatch.setattr(ThreadPoolExecutor, "submit", hook.threads._giving(ThreadPoolExecutor.submit))


@pytest.mark.usefixtures("_patched")
def test_memory_does_not_grow_over_many_requests(hook: Hook) -> None:
    pool = ThreadPoolExecutor(2)

    def call() -> None:
        connection = Unsent("orders")
        connection.putrequest("GET", "/")
        connection.endheaders()

    def application(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        start("200 OK", [])
        call()
        if environ["number"] % 50 == 0:
            thread = threading.Thread(target=call)
            thread.start()
            pool.submit(call).result()
            thread.join()
        yield b"x"

    served = hook.wsgi.Application(application)

    def ask(times: int) -> None:
        for number in range(times):
            given = {"HTTP_X_REQUEST_ID": f"id-{number}", "HTTP_TRACEPARENT": f"00-{number:032x}-{1:016x}-01"}
            body = served({**given, "number": number}, lambda *args: None)
            assert list(body) == [b"x"]
            body.close()

    with pool:
        ask(1000)
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            ask(REQUESTS)
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    assert grown < BOUND
