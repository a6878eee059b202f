"""What answers mean."""

import pytest

from agent.outbox.inbox.verdict import LONGEST_DELAY, Kind, judge, spent


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"", Kind.DONE), (204, b"", Kind.DONE), (200, b"thanks", Kind.DONE),
        (200, b'{"status":"SUCCESS"}', Kind.DONE),
        (200, b'{"status":"RETRY"}', Kind.AGAIN), (200, b'{"status":"DROP"}', Kind.DEAD),
        (200, b'{"status":5}', Kind.DONE),
        (200, b"[]", Kind.DONE), (200, b"\xff", Kind.DONE),
        (400, b"", Kind.DEAD), (422, b"", Kind.DEAD),
        (404, b"", Kind.AGAIN), (409, b"", Kind.AGAIN), (429, b"", Kind.AGAIN),
        (500, b"", Kind.AGAIN), (503, b"", Kind.AGAIN),
        (302, b"", Kind.AGAIN), (401, b"", Kind.AGAIN), (500, b'{"status":"DROP"}', Kind.AGAIN),
    ],
)  # fmt: skip
def test_an_answer_has_one_meaning(status: int, body: bytes, kind: Kind) -> None:
    assert judge(status, body).kind is kind


def test_the_service_may_ask_to_be_left_alone_but_not_for_ever() -> None:
    assert judge(503, b"", "7").delay == 7
    assert judge(429, b"", "99999999").delay == LONGEST_DELAY
    assert judge(503, b"", "Wed, 21 Oct 2026 07:28:00 GMT").delay is None
    assert judge(503, b"", "-1").delay is None


def test_tries_end_at_either_bound_and_never_without_one() -> None:
    assert spent(5, 0, 5, 0)
    assert not spent(4, 0, 5, 0)
    assert spent(1, 10, 0, 10)
    assert not spent(10**6, 10**6, 0, 0)
