"""What a service's answer means for a message. Pure."""

import enum
from dataclasses import dataclass

import msgspec

LONGEST_DELAY = 300.0
"""Seconds: more is not waited for, whatever the service asks."""

_AGAIN = frozenset({404, 409, 429})
_DEAD = frozenset({400, 422})


class Kind(enum.StrEnum):
    """What is to be done."""

    DONE = "done"
    AGAIN = "again"
    """The service had it and could not; it counts as a try."""
    AWAY = "away"
    """The service never saw it; it counts as none."""
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer."""

    kind: Kind
    reason: str = ""
    """For an operator; nothing of the message or of the answer's body is in it."""
    delay: float | None = None
    """Seconds that the service asked to be left alone, at most LONGEST_DELAY."""


class _Said(msgspec.Struct):
    status: str = ""


_SAID = msgspec.json.Decoder(_Said)


def judge(status: int, body: bytes = b"", retry_after: str = "") -> Verdict:
    """The verdict on an answer; ``body`` may be its beginning only."""
    reason = f"the service answered {status}"
    if 200 <= status < 300:
        return _said(body)
    if status in _DEAD:
        return Verdict(Kind.DEAD, reason)
    # 404 and every code that is not named: a version that knows the path may be on its way.
    return Verdict(Kind.AGAIN, reason, _delay(retry_after) if status in _AGAIN or status >= 500 else None)


def _said(body: bytes) -> Verdict:
    try:
        status = _SAID.decode(body).status.upper()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Verdict(Kind.DONE)
    if status == "RETRY":
        return Verdict(Kind.AGAIN, "the service said RETRY")
    if status == "DROP":
        return Verdict(Kind.DEAD, "the service said DROP")
    return Verdict(Kind.DONE)


def _delay(text: str) -> float | None:
    return min(float(text), LONGEST_DELAY) if text.isascii() and text.isdigit() else None


def spent(attempts: int, age: float, max_attempts: int, max_age: float) -> str:
    """Why a message that failed again is not tried any more, empty where it is; a limit of 0 is none."""
    if max_attempts and attempts >= max_attempts:
        return f"after {attempts} tries"
    if max_age and age >= max_age:
        return f"{age:.0f} s after its first failure, {attempts} tries"
    return ""
