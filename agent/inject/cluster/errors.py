"""What an API server's refusals mean: the three kinds of failure, some with a name of their own.

Source: Kubernetes API conventions, "HTTP Status codes" and "Response Status Kind".
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from agent.runtime.errors import Permanent, PillionError, Transient

LONGEST = 300
"""Characters of a server's words that are passed on."""


class Absent(Permanent):
    """There is no such object (404)."""


class Taken(Permanent):
    """An object of that name is there already (409 AlreadyExists)."""


class Conflict(Transient):
    """The object is another one than was read (409): read it again and decide anew."""


class Gone(Transient):
    """What was asked about is too old to be known (410): list anew."""


class Denied(Permanent):
    """The server does not know us (401) or we may not (403)."""


class Status(msgspec.Struct):
    """The part of a ``metav1.Status`` that says what is wrong."""

    message: str = ""
    reason: str = ""
    code: int = 0


def failure(status: int, headers: Mapping[str, str], body: bytes, doing: str, secret: bool) -> PillionError:
    """The error that an answer's ``status`` means. With ``secret`` none of the server's own words are repeated."""
    said = words(body)
    text = said.reason if secret else said.message or said.reason
    told = f": {printable(text)}" if text else ""
    if status == 409 and said.reason == "AlreadyExists":
        return Taken(f"{doing} found that it exists already (409)")
    if status in _NAMED:
        kind, what = _NAMED[status]
        return kind(f"{doing} {what} ({status}){told}")
    if status in {401, 403}:
        return Denied(f"{doing} was refused with {status}{told}; give the service account that right")
    if status == 429 or status >= 500:
        return Transient(f"{doing} failed with {status}{told}", delay=_delay(headers))
    return Permanent(f"{doing} was refused with {status}{told}")


_NAMED: Mapping[int, tuple[type[PillionError], str]] = MappingProxyType(
    {
        404: (Absent, "found nothing"),
        409: (Conflict, "met another change"),
        410: (Gone, "came too late"),
    }
)


def words(body: bytes) -> Status:
    """The status object in an answer; an empty one where there is none."""
    try:
        return msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Status()


def printable(text: str) -> str:
    """A server's words on one line and not for ever."""
    return "".join(character if character.isprintable() else " " for character in text[:LONGEST])


def _delay(headers: Mapping[str, str]) -> float | None:
    after = headers.get("Retry-After", "")
    return min(float(after), 60.0) if after.isascii() and after.isdigit() else None
