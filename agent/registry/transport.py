"""The HTTP layer below py-consul: aiohttp with the rules that Pillion needs, and errors translated once.

py-consul's own asyncio layer (``consul.aio``) is not used: it repeats a blocking query with its old index
when the connection breaks (aiohttp does that), has no limit on the size of an answer,
sets no token where an endpoint forgot it, and warns of deprecations with a current aiohttp. Its interface
is kept: every method takes py-consul's ``callback`` that makes a value of ``consul.base.Response``.
"""

import json
import ssl
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp
import yarl

from agent.registry.endpoint import Endpoint
from agent.registry.pyconsul import ConsulException, Response
from agent.registry.sockets import watched
from agent.registry.token import Credentials
from agent.runtime.errors import Permanent, PillionError, Transient
from agent.runtime.words import words

LIMIT = 64 * 1024 * 1024
"""Bytes of an answer; a catalogue of thousands of instances has a few."""
TOO_LARGE = 15.0
"""Least seconds until an answer beyond the limit is asked for again."""
CONNECT = 3.0
"""Seconds to open a connection."""

Callback = Callable[[Any], Any]
Params = Sequence[tuple[str, Any]] | None


class Transport:
    """One HTTP session to one Consul. Use it as an async context manager."""

    def __init__(
        self, endpoint: Endpoint, token: Credentials, ca_cert: str = "", connections: int = 0
    ) -> None:
        """``connections`` 0: no limit. A request beyond the limit waits, so it must exceed the blocking
        queries."""
        self.endpoint = endpoint
        self.token = token
        # A connection per request: one that Consul closed meanwhile would look like a Consul that is away.
        connector = aiohttp.TCPConnector(
            limit=connections, force_close=True, ssl=_tls(endpoint, ca_cert), socket_factory=watched
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT)
        headers = {"User-Agent": "pillion"}
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=headers, trust_env=False, middlewares=(_once,)
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def get(
        self,
        callback: Callback,
        path: str,
        params: Params = None,
        *,
        known: int = 0,
        limit: int = LIMIT,
        **_: Any,
    ) -> Any:
        """A GET; py-consul's own headers carry nothing but a token, which is set here.

        The body of an answer with the index ``known`` is left where it is: ``callback`` gets None for it. One of more
        than ``limit`` bytes is not read to its end.
        """
        return await self._request(callback, "GET", path, params, known=known, limit=limit)

    async def put(
        self, callback: Callback, path: str, params: Params = None, data: str | bytes = "", **_: Any
    ) -> Any:
        """A PUT."""
        return await self._request(callback, "PUT", path, params, data)

    async def post(self, callback: Callback, path: str, data: str | bytes = "", token: str = "") -> Any:
        """A POST; ``token`` instead of the transport's own."""
        return await self._request(callback, "POST", path, None, data, token=token)

    async def delete(self, callback: Callback, path: str, params: Params = None, **_: Any) -> Any:
        """A DELETE."""
        return await self._request(callback, "DELETE", path, params)

    async def _request(
        self,
        callback: Callback,
        method: str,
        path: str,
        params: Params,
        data: str | bytes = "",
        *,
        token: str = "",
        known: int = 0,
        limit: int = LIMIT,
    ) -> Any:
        query = f"?{urllib.parse.urlencode(params)}" if params else ""
        url = yarl.URL(f"{self.endpoint}{urllib.parse.quote(path, safe='/:')}{query}", encoded=True)
        token = token or await self.token.read()
        headers = {"X-Consul-Token": token} if token else {}
        doing = f"{method} {path} at Consul {self.endpoint}"
        try:
            async with self._session.request(
                method, url, headers=headers, data=data or None, allow_redirects=False
            ) as answer:
                status, got = answer.status, answer.headers
                old = known and status == 200 and got.get("X-Consul-Index") == str(known)
                body = "" if old else await _text(answer, doing, limit)
        except (aiohttp.ClientError, OSError, UnicodeDecodeError) as error:
            raise Transient(f"{doing} failed: {_words(error)}") from error
        if status == 403 and "ACL not found" in body and self.token.refused(token):
            raise Transient(
                f"{doing} was refused: the token of the login is gone, the next request logs in anew"
            )
        _check(status, got, body, doing)
        try:
            return callback(Response(status, got, None if old else body))
        except (ConsulException, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            # Without its cause: py-consul's text quotes the whole body, which may hold configuration values.
            raise Transient(
                f"{doing} brought an answer that is not Consul's: is this its HTTP port?"
            ) from None


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a GET again by itself when the connection breaks:
    its index is old by then.
    """
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokenError(_words(error)) from error


class _BrokenError(aiohttp.ClientError):
    """The connection broke; not one of the errors after which aiohttp tries again."""


def _tls(endpoint: Endpoint, ca_cert: str) -> ssl.SSLContext | bool:
    if endpoint.scheme != "https":
        return True
    try:
        return ssl.create_default_context(cafile=ca_cert or None)
    except (OSError, ssl.SSLError) as error:
        raise Permanent(f"reading registry.ca_cert {ca_cert} failed: {_words(error)}") from error


async def _text(answer: aiohttp.ClientResponse, doing: str, limit: int) -> str:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(65536):
        body += chunk
        if len(body) > limit:
            # Not again at once: all of it would come again.
            raise Transient(f"{doing} brought more than {limit} bytes", delay=TOO_LARGE)
    return body.decode()


def _check(status: int, headers: Mapping[str, str], body: str, doing: str) -> None:
    """Raise what a status other than success or 404 means; a 404 is an answer to most questions."""
    if 200 <= status < 300 or status == 404:
        return
    raise _failure(status, headers, body, doing)


def _failure(status: int, headers: Mapping[str, str], body: str, doing: str) -> PillionError:
    said = "".join(character for character in body[:200] if character.isprintable())
    if status == 429:
        return Transient(
            f"{doing} was refused: too many connections from this address (429)", delay=_delay(headers)
        )
    if status >= 500:
        return Transient(f"{doing} failed with {status}: {said}")
    if status in {401, 403}:
        return Permanent(f"{doing} was refused with {status}: {said}; give registry.token the rights")
    return Permanent(f"{doing} was refused with {status}: {said}")


def _delay(headers: Mapping[str, str]) -> float:
    after = headers.get("Retry-After", "")
    return min(float(after), 60.0) if after.isascii() and after.isdigit() else 1.0


def _words(error: BaseException) -> str:
    """An error's text; aiohttp's name the host, never a header."""
    return words(error)


def encode(value: object) -> str:
    """A request's body."""
    return json.dumps(value, separators=(",", ":"))
