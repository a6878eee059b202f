"""Threads and executors without a service."""

import os
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import pytest

from tests.unit.carry.conftest import Hook
from tests.unit.carry.test_wsgi import ids


@pytest.fixture
def _patched(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads and executors as in a service, and a request that is running."""
    monkeypatch.setattr(threading.Thread, "start", hook.threads._starting(threading.Thread.start))
    monkeypatch.setattr(ThreadPool, "__init__", hook.threads._alone(ThreadPool.__init__))
    monkeypatch.setattr(ThreadPool, "_map_async", hook.threads._giving(ThreadPool._map_async))
    monkeypatch.setattr(queue.Queue, "put", hook.queues._putting(queue.Queue.put, queue.Queue))
    monkeypatch.setattr(queue.Queue, "get", hook.queues._getting(queue.Queue.get, queue.Queue))
    monkeypatch.setattr(ThreadPoolExecutor, "submit", hook.threads._giving(ThreadPoolExecutor.submit))
    hook.context.put(hook.context.Carried("", "", "", "id-1"))
    yield
    hook.context.put(None)


@pytest.mark.usefixtures("_patched")
def test_a_worker_that_a_request_started_keeps_nothing_of_it(hook: Hook) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(ids, hook).result() == "id-1"
        hook.context.put(None)
        assert pool.submit(ids, hook).result() is None


@pytest.mark.usefixtures("_patched")
def test_a_thread_is_left_as_it_was(hook: Hook) -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(ids(hook)))
    thread.start()
    thread.join()
    assert (found, "run" in vars(thread)) == (["id-1"], False)


@pytest.mark.usefixtures("_patched")
def test_a_thread_that_can_not_start_is_left_as_it_was(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError("can't start new thread")

    thread = threading.Thread(target=lambda: None)
    monkeypatch.setattr(threading.Thread, "start", hook.threads._starting(refuse))
    with pytest.raises(RuntimeError, match="can't start"):
        thread.start()
    assert "run" not in vars(thread)


@pytest.mark.usefixtures("_patched")
def test_a_submit_that_is_wrong_fails_as_without_us() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(TypeError):
        pool.submit()  # type: ignore[call-arg]


def request(hook: Hook, name: str) -> None:
    """Another request runs from here on."""
    hook.context.put(hook.context.Carried("", "", "", name))


@pytest.mark.usefixtures("_patched")
def test_work_within_work_carries_the_request(hook: Hook) -> None:
    with ThreadPoolExecutor(1) as outer, ThreadPoolExecutor(1) as inner:
        assert outer.submit(lambda: inner.submit(ids, hook).result()).result() == "id-1"


@pytest.mark.usefixtures("_patched")
def test_work_that_gives_itself_again_loses_its_request_after_a_while(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    for module in (hook.context, hook.threads):
        monkeypatch.setattr(module, "monotonic", lambda: now[0])
    seen: list[str | None] = []
    with ThreadPoolExecutor(1) as pool:

        def again(times: int) -> None:
            seen.append(ids(hook))
            now[0] += hook.context.LINGER / 2
            if times:
                following.append(pool.submit(again, times - 1))

        following: list[Future[None]] = []
        hook.context.get().finished = now[0]
        following.append(pool.submit(again, 4))
        while len(seen) < 5:
            following[-1].result()
    assert seen == ["id-1", "id-1", None, None, None]


@pytest.mark.usefixtures("_patched")
def test_late_work_carries_its_request_however_long_it_waited(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, go = [100.0], threading.Event()
    monkeypatch.setattr(hook.context, "monotonic", lambda: now[0])
    with ThreadPoolExecutor(1) as pool:
        pool.submit(go.wait, 10)
        late = pool.submit(ids, hook)
        hook.context.get().finished = now[0]
        now[0] += hook.context.LINGER * 10
        go.set()
        assert late.result() == "id-1"


@pytest.mark.usefixtures("_patched")
def test_a_pool_of_threads_carries_each_request_and_keeps_none(hook: Hook) -> None:
    with ThreadPool(1) as pool:
        assert pool.map(ids, [hook]) == ["id-1"]
        request(hook, "id-2")
        assert pool.map(ids, [hook]) == ["id-2"]
        hook.context.put(None)
        assert pool.map(ids, [hook]) == [None]


class Worker:
    """A thread on a queue, started by whoever makes it, that tells what it would carry at each item."""

    def __init__(self, hook: Hook) -> None:
        self.todo: queue.Queue[str] = queue.Queue()
        self.seen: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._hook = hook
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        while self.todo.get() != "end":
            self.seen.put(ids(self._hook))

    def carried(self) -> str | None:
        self.todo.put("item")
        return self.seen.get(timeout=10)

    def end(self) -> None:
        self.todo.put("end")
        self._thread.join()


@pytest.mark.usefixtures("_patched")
@pytest.mark.parametrize("after", ["another request", "nothing", "its end"])
def test_a_worker_on_a_queue_serves_its_own_request_and_then_none(hook: Hook, after: str) -> None:
    worker = Worker(hook)
    try:
        assert [worker.carried(), worker.carried()] == ["id-1", "id-1"]
        if after == "its end":
            hook.context.get().finished = hook.context.monotonic()
        elif after == "nothing":
            hook.context.put(None)
        else:
            request(hook, "id-2")
        assert worker.carried() is None
        request(hook, "id-1")
        assert worker.carried() is None
    finally:
        worker.end()


@pytest.mark.usefixtures("_patched")
def test_a_request_that_takes_from_a_shared_queue_keeps_its_own(hook: Hook) -> None:
    """Such as a connection from a pool, which another request has put back."""
    shared: queue.Queue[str] = queue.Queue()
    shared.put("connection")
    request(hook, "id-2")
    shared.get()
    assert ids(hook) == "id-2"


@pytest.mark.usefixtures("_patched")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_process_starts_with_nothing(hook: Hook) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, repr(ids(hook)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert (os.read(reading, 100), ids(hook)) == (b"None", "id-1")
    os.close(reading)
    os.close(writing)
