"""Threads and executors without a service."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.carry.conftest import Hook
from tests.unit.carry.test_wsgi import ids


@pytest.fixture
def _patched(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads and executors as in a service, and a request that is running."""
    monkeypatch.setattr(threading.Thread, "start", hook.threads._starting(threading.Thread.start))
    monkeypatch.setattr(ThreadPoolExecutor, "submit", hook.threads._submitting(ThreadPoolExecutor.submit))
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
