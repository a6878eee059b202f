"""Questions to an API server over one HTTP session, with errors translated once."""

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec

from agent.inject.cluster import errors
from agent.inject.cluster.access import Access
from agent.inject.cluster.kinds import Kind
from agent.runtime.errors import Transient

Object = dict[str, Any]
"""A Kubernetes object as it came."""
T = TypeVar("T")

LIMIT = 16 * 1024 * 1024
"""Bytes of one answer: a page of pods has one or two MiB, a single object at most 1.5."""
LINE = 4 * 1024 * 1024
"""Bytes of one event of a watch."""
PAGE = 250
"""Objects asked for at once."""
CONNECT, ANSWER = 3.0, 10.0
"""Seconds to open a connection, and for a whole answer."""

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"


class _List(msgspec.Struct):
    metadata: "_ListMeta"
    items: list[msgspec.Raw] | None = None


class _ListMeta(msgspec.Struct):
    resource_version: str = msgspec.field(name="resourceVersion", default="")
    token: str = msgspec.field(name="continue", default="")


class Client:
    """One session to one API server; use it as an async context manager.

    Every method raises Transient or Permanent, or one of their kinds in ``errors``.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    async def __aenter__(self) -> Self:
        # A watch holds its connection, so there is no limit: the injector asks little beside them.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
            headers={"User-Agent": "pillion", "Accept": "application/json"},
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ask(self, path: str) -> Object:
        """GET a path that is no resource, such as ``/version``."""
        return _object(await self._whole("GET", path), f"GET {path}")

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        """One object."""
        path = kind.path(name, namespace)
        return _object(await self._whole("GET", path), f"GET {path}")

    async def create(self, kind: Kind, body: Object, namespace: str = "") -> Object:
        """A new object; raises Taken when there is one."""
        path = kind.path(namespace=namespace)
        return _object(await self._whole("POST", path, body), f"POST {path}")

    async def replace(self, kind: Kind, body: Object) -> Object:
        """Write a whole object, whose ``metadata.resourceVersion`` must be the present one; else raises Conflict."""
        path = kind.path(body["metadata"]["name"], body["metadata"].get("namespace", ""))
        return _object(await self._whole("PUT", path, body), f"PUT {path}")

    async def patch(
        self, kind: Kind, name: str, operations: Sequence[Object] | Object, namespace: str = ""
    ) -> Object:
        """Change one object: by a JSON patch (a sequence of operations) or by a merge patch (an object)."""
        path = kind.path(name, namespace)
        form = MERGE_PATCH if isinstance(operations, dict) else JSON_PATCH
        return _object(await self._whole("PATCH", path, operations, form), f"PATCH {path}")

    async def list(
        self, kind: Kind, item: type[T], query: Mapping[str, str] | None = None, namespace: str = ""
    ) -> tuple[list[T], str]:
        """All objects as ``item`` (a msgspec Struct of the fields that matter), and their resourceVersion.

        Read page by page; raises Gone when the list changed too much meanwhile.
        """
        path, token, found = kind.path(namespace=namespace), "", list[T]()
        doing = f"GET {path}"
        while True:
            asked = {**(query or {}), "limit": str(PAGE)} | ({"continue": token} if token else {})
            page = _decode(await self._whole("GET", path, query=asked), _List, doing)
            found += [_decode(raw, item, doing) for raw in page.items or ()]
            token = page.metadata.token
            if not token:
                return found, page.metadata.resource_version

    @asynccontextmanager
    async def watch(
        self, kind: Kind, query: Mapping[str, str], lasts: float, namespace: str = ""
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The events of a watch as lines, until the server ends it after ``lasts`` seconds."""
        path = kind.path(namespace=namespace)
        asked = {**query, "watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": f"{lasts:.0f}"}
        async with self._asked("GET", path, query=asked, timeout=lasts + ANSWER) as answer:
            yield _lines(answer, f"watching {path}")

    async def _whole(
        self,
        method: str,
        path: str,
        body: object = None,
        form: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        async with self._asked(method, path, body, form=form, query=query) as answer:
            return await _body(answer, f"{method} {path}")

    @asynccontextmanager
    async def _asked(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        form: str = "application/json",
        query: Mapping[str, str] | None = None,
        timeout: float = ANSWER,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a request, if it is a good one; what goes wrong while it is read is translated as well."""
        doing = f"{method} {path} at the API server {self._access.url}"
        headers = self._access.headers()
        data = None if body is None else msgspec.json.encode(body)
        if data is not None:
            headers["Content-Type"] = form
        try:
            async with self._session.request(
                method, self._access.url + path, params=query, data=data, headers=headers,
                ssl=self._access.tls(), allow_redirects=False,
                timeout=aiohttp.ClientTimeout(timeout, sock_connect=CONNECT),
            ) as answer:  # fmt: skip
                if not 200 <= answer.status < 300:
                    said = await _body(answer, doing)
                    raise errors.failure(answer.status, answer.headers, said, doing, "/secrets" in path)
                yield answer
        except aiohttp.ConnectionTimeoutError as error:
            raise Transient(f"{doing}: no connection within {min(CONNECT, timeout):g} s") from error
        except TimeoutError as error:
            raise Transient(f"{doing}: no answer within {timeout:g} s") from error
        except (aiohttp.ClientError, OSError, ssl.SSLError) as error:
            raise Transient(f"{doing} failed: {error or type(error).__name__}") from error


async def _body(answer: aiohttp.ClientResponse, doing: str) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > LIMIT:
            raise Transient(f"{doing} brought more than {LIMIT} bytes")
    return bytes(body)


async def _lines(answer: aiohttp.ClientResponse, doing: str) -> AsyncIterator[bytes]:
    rest = bytearray()
    async for chunk in answer.content.iter_any():
        rest += chunk
        *whole, last = rest.split(b"\n")
        for line in whole:
            if line.strip():
                yield bytes(line)
        rest = bytearray(last)
        if len(rest) > LINE:
            raise Transient(f"{doing} brought an event of more than {LINE} bytes")


def _object(body: bytes, doing: str) -> Object:
    return _decode(body, Object, doing)


def _decode(body: bytes | msgspec.Raw, form: type[T], doing: str) -> T:
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Not its text: it may quote what an object holds.
        raise Transient(f"{doing} brought an answer that is not the API server's") from error
