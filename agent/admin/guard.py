"""Who may use the API: programs on this machine, not web pages that a browser on it shows."""

import ipaddress
from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
"""On every answer. The page's own style, script and icon come from beside it, nothing from anywhere else, and no
markup that slipped in could run, load or send anything."""

FORWARDED = (
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Envoy-External-Address",
    "X-Envoy-Internal",
    "Via",
    "Forwarded",
)
"""Headers of a request that did not come straight from a program on this machine."""


@web.middleware
async def local_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 403 unless the request names a loopback host, and to any change that a web page asks for.

    A page can make a browser resolve its own name to 127.0.0.1 (DNS rebinding): then the Host header has that
    name. It can also post here without seeing the answer: then there is an Origin header, which programs
    don't send. And whoever writes to the registry can name this very address as an instance: then our own
    Envoy passes a stranger's request on, marked as forwarded.
    """
    if any(name in request.headers for name in FORWARDED):
        return web.Response(status=403, text="This address answers no request that a proxy passes on.\n")
    if not is_loopback(request.headers.get("Host", "")):
        return web.Response(status=403, text="This address answers only to localhost, 127.0.0.1 and ::1.\n")
    if request.method not in {"GET", "HEAD"} and "Origin" in request.headers:
        return web.Response(status=403, text="Web pages may not change anything here.\n")
    return await handler(request)


@web.middleware
async def plain_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say on every answer that it is neither to be kept, nor framed, nor guessed at."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(HEADERS)
        raise
    if not response.prepared:
        response.headers.update(HEADERS)
    return response


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine's loopback, with or without a port."""
    name = host
    if host.startswith("["):
        name, closed, rest = host[1:].partition("]")
        if not closed or (rest and not _is_port(rest)):
            return False
    elif host.count(":") == 1:
        name, _, port = host.partition(":")
        if not _is_port(f":{port}"):
            return False
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_port(text: str) -> bool:
    return text[0] == ":" and text[1:].isascii() and text[1:].isdigit()
