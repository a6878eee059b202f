"""The WSGI boundary without a server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.carry.conftest import Hook

Application = Callable[[dict[str, Any], Any], Any]


def environ(request_id: str = "id-1") -> dict[str, Any]:
    """The part of a WSGI environ that is looked at."""
    return {"HTTP_X_REQUEST_ID": request_id}


def start(*args: Any) -> None:
    """A server's start_response that takes anything."""


def ids(hook: Hook) -> str | None:
    """The request id that would be carried now."""
    carried = hook.context.current()
    return carried.checked.request_id if carried else None


def test_the_context_is_gone_when_the_application_has_answered(hook: Hook) -> None:
    seen = []
    assert hook.wsgi.Application(lambda env, respond: seen.append(ids(hook)) or [b"x"])(environ(), start) == [
        b"x"
    ]
    assert (seen, ids(hook)) == (["id-1"], None)


def test_the_context_is_gone_when_the_application_has_failed(hook: Hook) -> None:
    def application(env: Any, respond: Any) -> Any:
        raise KeyError("theirs")

    with pytest.raises(KeyError, match="theirs"):
        hook.wsgi.Application(application)(environ(), start)
    assert ids(hook) is None


def test_each_step_of_a_body_runs_in_its_request_and_none_between(hook: Hook) -> None:
    class Stream:
        def __iter__(self) -> Iterator[Any]:
            yield ids(hook)
            yield ids(hook)

        def close(self) -> None:
            seen.append(ids(hook))

    seen: list[Any] = []
    application = hook.wsgi.Application(lambda env, respond: Stream())
    first, second = application(environ("a"), start), application(environ("b"), start)
    turns = iter(first), iter(second)
    for _ in range(2):
        for turn in turns:
            seen.extend([next(turn), ids(hook)])
    first.close()
    second.close()
    assert seen == ["a", None, "b", None] * 2 + ["a", "b"]


def test_a_body_s_length_and_attributes_stay_visible(hook: Hook) -> None:
    class Sized:
        mode = "theirs"

        def __len__(self) -> int:
            return 7

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

    body = hook.wsgi.Application(lambda env, respond: Sized())(environ(), start)
    assert (len(body), body.mode, list(body)) == (7, "theirs", [b"x"])
    assert not hasattr(hook.wsgi.Application(lambda env, respond: iter([b""]))(environ(), start), "__len__")


def test_a_file_for_the_server_to_send_stays_what_it_is(hook: Hook) -> None:
    class Wrapper:
        pass

    given = Wrapper()
    body = hook.wsgi.Application(lambda env, respond: given)(
        {**environ(), "wsgi.file_wrapper": Wrapper}, start
    )
    assert body is given


def test_the_outermost_boundary_notes_the_request_and_says_so_once(hook: Hook) -> None:
    told: list[Any] = []

    def application(env: Any, respond: Any) -> Any:
        given = [("A", "b")]
        respond("200 OK", given)
        assert given == [("A", "b")], "the application's own list was changed"
        return [ids(hook)]

    nested = hook.wsgi.Application(hook.wsgi.Application(application))
    assert nested(environ(), lambda status, headers: told.extend(headers)) == ["id-1"]
    assert told == [("A", "b"), ("x-pillion-carry", "1")]


@pytest.mark.parametrize("args", [(), (1,), (1, 2, 3)])
def test_a_call_that_is_no_request_reaches_the_application_as_it_is(
    hook: Hook, args: tuple[int, ...]
) -> None:
    assert hook.wsgi.Application(lambda *given: given)(*args) == args


def test_what_is_wrapped_already_or_can_not_be_called_stays(hook: Hook) -> None:
    once = hook.wsgi.wrapped(lambda env, respond: [])
    assert hook.wsgi.wrapped(once) is once
    assert hook.wsgi.wrapped(None) is None


def test_work_left_behind_loses_its_request_after_a_while(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker made in one request must not answer for it for ever; work given to an executor may be late."""
    now = [100.0]
    monkeypatch.setattr(hook.context, "monotonic", lambda: now[0])
    carried = hook.context.Carried("", "", "", "id-1")
    kept = carried.kept()
    carried.finished = now[0]
    before = hook.context.get()
    try:
        hook.context.put(carried)
        now[0] += hook.context.LINGER - 1
        assert ids(hook) == "id-1"
        now[0] += 1
        assert ids(hook) is None
        hook.context.put(kept)
        assert ids(hook) == "id-1"
    finally:
        hook.context.put(before)
