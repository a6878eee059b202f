"""What is asked: a request as a person or a program names it."""

import re
from enum import StrEnum
from urllib.parse import quote

import msgspec

from agent.runtime.errors import Permanent

MOST_HEADERS = 64
LONGEST_VALUE = 1000
"""Characters of a header's value: beyond it, matching could take long."""
LONGEST_URL = 4000

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_AS_IT_IS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""What a client sends as it stands in the URL."""
_AUTHORITY = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%-]*(?::[0-9]{0,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{0,5})?")


class Side(StrEnum):
    """By which door the request comes."""

    OUTBOUND = "outbound"
    """From the service, on its way to others."""
    INBOUND = "inbound"
    """From others, on its way to the service."""
    GATEWAY = "gateway"


class Ask(msgspec.Struct, frozen=True):
    """A request that is to be explained."""

    method: str
    url: str
    """``http://orders/x``; at inbound and gateway a path is enough."""
    headers: tuple[tuple[str, str], ...] = ()
    side: Side = Side.OUTBOUND


class Parts(msgspec.Struct, frozen=True):
    """A request's parts as a client sends them."""

    method: str
    scheme: str
    authority: str
    """Empty where the URL is only a path."""
    path: str | None
    """Path and query; None for CONNECT, which has none."""
    headers: tuple[tuple[str, str], ...]


def parts(ask: Ask) -> Parts:
    """Take it apart; raises Permanent with a sentence for what no client could send."""
    method = ask.method.upper()
    if not _TOKEN.fullmatch(method):
        raise Permanent(f"{ask.method[:100]!r} is no method such as GET")
    scheme, authority, path = _url(ask, method)
    if not _AUTHORITY.fullmatch(authority):
        raise Permanent(f"{authority[:100]!r} is no host, with or without a port")
    return Parts(method, scheme, authority, None if method == "CONNECT" else path, _headers(ask.headers))


def _url(ask: Ask, method: str) -> tuple[str, str, str]:
    url = ask.url
    if len(url) > LONGEST_URL:
        raise Permanent(f"the URL has {len(url)} characters; {LONGEST_URL} are the most that is explained")
    if method == "CONNECT" and "://" not in url:
        return "http", url.rstrip("/"), ""
    if url.startswith("/"):
        if ask.side is Side.OUTBOUND:
            raise Permanent(f"{url[:100]!r} names no host: give a URL such as http://orders{url[:100]}")
        return "http", "", _sent(url.partition("#")[0])
    scheme, _, rest = (url if "://" in url else f"http://{url}").partition("://")
    if scheme.lower() not in ("http", "https"):
        raise Permanent(f"{url[:100]!r} is neither http nor https")
    end = min((place for one in "/?#" if (place := rest.find(one)) >= 0), default=len(rest))
    authority = rest[:end].rpartition("@")[2]  # a client sends user and password as a header
    if not authority:
        raise Permanent(f"{url[:100]!r} names no host")
    path = rest[end:].partition("#")[0]
    return scheme.lower(), authority, _sent(path if path.startswith("/") else f"/{path}")


def _sent(path: str) -> str:
    return quote(path, safe=_AS_IT_IS)


def _headers(given: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    if len(given) > MOST_HEADERS:
        raise Permanent(f"{len(given)} headers are more than the {MOST_HEADERS} that are explained")
    for name, value in given:
        if not _TOKEN.fullmatch(name):
            raise Permanent(f"{name[:100]!r} is no header name")
        if not value.isprintable() or len(value) > LONGEST_VALUE:
            raise Permanent(f"the value of {name} is longer than {LONGEST_VALUE} characters or not printable")
    return tuple((name.lower(), value.strip(" \t")) for name, value in given)
