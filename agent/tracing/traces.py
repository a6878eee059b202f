"""What a trace is made of: spans as whoever measured them told, and what can be read off one alone. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

Value = str | int | float | bool

LONGEST = 80
"""Characters of a path or a name that are shown."""

_VARYING = re.compile(
    r"[0-9]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}|(?=[^/]*[0-9])[^/]{24,}", re.IGNORECASE
)
"""A segment of a path that names one thing among many: a number, a UUID, a hash, something long with a digit."""


@dataclass(frozen=True)
class Span:
    """One operation of one service in a trace. ``start`` is seconds since the epoch, ``duration`` seconds."""

    id: str
    parent: str | None
    """The parent's id; None for the root. The parent itself may be missing: never sent, or not there yet."""
    service: str
    operation: str
    start: float
    duration: float
    tags: tuple[tuple[str, Value], ...]
    """Attributes in the order of their names; ``span.kind`` is among them."""
    trace: str = ""
    instance: str = ""
    """Which instance of the service measured it, as far as it says; spans of one instance share a clock."""

    def tag(self, name: str) -> Value | None:
        """An attribute's value, None where the span has none of that name."""
        return dict(self.tags).get(name)

    def word(self, *names: str) -> str:
        """The first of these attributes that there is, as text; empty without one."""
        tags = dict(self.tags)
        return next((str(tags[name]) for name in names if tags.get(name) not in (None, "")), "")

    @property
    def kind(self) -> str:
        """``client``, ``server``, ``producer``, ``consumer`` or ``internal`` (also where it says nothing)."""
        return self.word("span.kind").lower() or "internal"


def status(span: Span) -> int:
    """The answer's HTTP status; 0 where none is told."""
    text = span.word("http.status_code", "http.response.status_code")
    return int(text) if re.fullmatch("[1-5][0-9]{2}", text, re.ASCII) else 0


def flags(span: Span) -> str:
    """Envoy's response flags, such as ``UF`` or ``DC``; empty for none."""
    return span.word("response_flags").strip("-")


def failed(span: Span) -> bool:
    """Whether it says that it failed, or answered 5xx."""
    said = span.word("error").lower() == "true" or span.word("otel.status_code") == "ERROR"
    return said or status(span) >= 500


def path(span: Span) -> str:
    """The path of the request without its query, which may hold secrets; empty where it is no request."""
    text = span.word("url.path", "http.target", "http.url", "url.full")
    try:
        return urlsplit(text).path[:LONGEST]
    except ValueError:
        return ""


def called(span: Span) -> str:
    """What was done, as one reads it: method and path of a request that has no name of its own, else the name.

    A call has its host before the path.

    Envoy's spans are called like their service unless ``tracing.operation`` says otherwise; that says nothing.
    """
    return _called(span, path(span))


def class_of(span: Span) -> str:
    """The same for all calls of one kind: what names one thing among many is replaced by ``{id}``."""
    template = "/".join("{id}" if _VARYING.fullmatch(part) else part for part in path(span).split("/"))
    return _called(span, template)


def _called(span: Span, shown: str) -> str:
    method = span.word("http.method", "http.request.method")
    if method and span.operation in {span.service, "", "ingress", "egress"}:
        return f"{method} {_host(span)}{shown or '/'}"[:LONGEST]
    return span.operation[:LONGEST]


def _host(span: Span) -> str:
    """Of a call, whom it is for; a service that is called knows that it is meant."""
    if span.kind != "client":
        return ""
    try:
        return urlsplit(span.word("http.url", "url.full")).netloc.rpartition("@")[2]
    except ValueError:
        return ""
