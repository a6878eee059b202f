"""A small API server over TLS: objects with versions, create-if-absent, compare-and-set, JSON patches, watches."""

import asyncio
import copy
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from agent.demo.backing import free_port
from agent.inject.certificates import making
from tests.serving import closed

TOKEN = "a-token"
MWC = "mutatingwebhookconfigurations"


class ApiServer:
    """What it holds, and how it behaves: each attribute may be changed while it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.objects: dict[str, dict[str, Any]] = {}
        """By path, such as ``/api/v1/namespaces/shop``."""
        self.calls: list[tuple[str, str]] = []
        self.version = "v1.37.2"
        self.token = TOKEN
        self.broken: dict[str, int] = {}
        """Statuses to answer instead, by the beginning of a path."""
        self.silent = ""
        """Never answer paths that begin so."""
        self.gone = False
        """Answer the next watch with 410 in its stream."""
        self._number = 10
        self._events: list[tuple[int, str, str, dict[str, Any]]] = []
        self._changed = asyncio.Event()
        self._watches: dict[web.StreamResponse, str] = {}

    def put(self, path: str, body: dict[str, Any]) -> None:
        """Write an object as somebody else."""
        event = "MODIFIED" if path in self.objects else "ADDED"
        stored = copy.deepcopy(body)
        self._number += 1
        stored["metadata"]["resourceVersion"] = str(self._number)
        self.objects[path] = stored
        self._tell(event, path, stored)

    def drop(self, path: str) -> None:
        """Delete an object as somebody else."""
        self._number += 1
        self._tell("DELETED", path, self.objects.pop(path))

    def namespace(self, name: str, **labels: str) -> None:
        """A namespace with labels; ``pillion_dev__inject`` stands for ``pillion.dev/inject``."""
        given = {key.replace("__", "/").replace("_", "."): value for key, value in labels.items()}
        self.put(f"/api/v1/namespaces/{name}", {"metadata": {"name": name, "labels": given}})

    def watched(self, path: str) -> bool:
        """Whether somebody watches the collection just now."""
        return path in self._watches.values()

    def cut_watches(self) -> None:
        """Break the connection of every watch."""
        for watch in self._watches:
            if watch._req is not None and watch._req.transport is not None:
                watch._req.transport.abort()

    @property
    def environ(self) -> dict[str, str]:
        """What a pod would have in its environment."""
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}

    @property
    def account(self) -> Path:
        """The folder of the service account."""
        return self.folder / "account"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ApiServer"]:
        """Serve within the block."""
        now = datetime.now(UTC)
        ca = making.authority(now, timedelta(days=1))
        pair = making.serving(ca, ["127.0.0.1"], now, timedelta(days=1))
        self.account.mkdir(parents=True, exist_ok=True)
        (self.account / "ca.crt").write_bytes(ca.certificate)
        (self.account / "token").write_text(self.token)
        (self.account / "namespace").write_text("pillion")
        file = self.folder / "server.pem"
        file.write_bytes(pair.certificate + pair.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        app = web.Application(client_max_size=4 << 20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=context, reuse_address=True).start()
        try:
            yield self
        finally:
            await closed(runner)

    def _tell(self, event: str, path: str, one: dict[str, Any]) -> None:
        self._events.append((self._number, event, path, copy.deepcopy(one)))
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.calls.append((request.method, path))
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized")
        if self.silent and path.startswith(self.silent):
            await asyncio.Event().wait()
        for beginning, status in self.broken.items():
            if path.startswith(beginning):
                return _status(status, "Forbidden" if status == 403 else "InternalError")
        if path == "/version":
            return web.json_response({"gitVersion": self.version})
        if "watch" in request.query:
            return await self._watch(request)
        return await getattr(self, f"_{request.method.lower()}")(request)

    async def _get(self, request: web.Request) -> web.Response:
        if request.path in self.objects:
            return web.json_response(self.objects[request.path])
        if request.path.rsplit("/", 1)[1] in {"namespaces", "secrets", "pods", MWC}:
            return self._list(request)
        return _status(404, "NotFound")

    def _list(self, request: web.Request) -> web.Response:
        found = [one for path, one in self.objects.items() if _within(path, request)]
        at, most = int(request.query.get("continue", "0")), int(request.query.get("limit", "1000"))
        metadata = {"resourceVersion": str(self._number)}
        if at + most < len(found):
            metadata["continue"] = str(at + most)
        return web.json_response({"metadata": metadata, "items": found[at : at + most]})

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.json()
        path = f"{request.path}/{body['metadata']['name']}"
        if path in self.objects:
            return _status(409, "AlreadyExists")
        self.put(path, body)
        return web.json_response(self.objects[path], status=201)

    async def _put(self, request: web.Request) -> web.Response:
        body = await request.json()
        held = self.objects.get(request.path)
        if held is None:
            return _status(404, "NotFound")
        if held["metadata"]["resourceVersion"] != body["metadata"].get("resourceVersion"):
            return _status(409, "Conflict")
        self.put(request.path, body)
        return web.json_response(self.objects[request.path])

    async def _patch(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/json-patch+json"
        body = copy.deepcopy(self.objects[request.path])
        for one in await request.json():
            *parents, last = one["path"].strip("/").split("/")
            place: Any = body
            for part in parents:
                place = place[int(part)] if isinstance(place, list) else place[part]
            if one["op"] == "test" and place[last] != one["value"]:
                return _status(422, "Invalid")
            place[last] = one["value"]
        self.put(request.path, body)
        return web.json_response(self.objects[request.path])

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        self._watches[response] = request.path
        try:
            return await self._events_of(request, response)
        finally:
            del self._watches[response]

    async def _events_of(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """What happens to the collection, until the time is over that was asked for."""
        if self.gone:
            self.gone = False
            await response.write(_line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"}))
            return response
        seen, ends = int(request.query["resourceVersion"]), asyncio.get_running_loop().time()
        ends += float(request.query["timeoutSeconds"])
        while True:
            for number, event, path, one in self._events:
                if number > seen and _within(path, request):
                    await response.write(_line(event, one))
            seen = self._number
            try:
                async with asyncio.timeout_at(ends):
                    await self._changed.wait()
            except TimeoutError:
                return response


def _within(path: str, request: web.Request) -> bool:
    """Whether an object is of the collection that is asked for, and passes its selector."""
    folder, _, name = path.rpartition("/")
    wanted = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
    return folder == request.path and wanted in {"", name}


def _line(event: str, one: dict[str, Any]) -> bytes:
    return json.dumps({"type": event, "object": one}).encode() + b"\n"


def _status(code: int, reason: str) -> web.Response:
    body = {"kind": "Status", "code": code, "reason": reason, "message": f"the server said {reason}"}
    return web.json_response(body, status=code)
