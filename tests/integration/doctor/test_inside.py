"""The API server as a pod reaches it, for `pillion doctor` and for the sweep."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from agent.doctor.documents import Documents
from agent.inject.cluster.access import Access
from agent.inject.cluster.client import Client
from agent.runtime.errors import Permanent, Transient
from agent.wiring.doctor import Inside
from agent.wiring.sweep import Living, Own
from tests.serving import closed


class Server:
    """An API server that has what the test says, and notes what it is asked for."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, dict(request.query)))
        found = self.objects.get(request.path)
        if isinstance(found, int):
            return web.json_response({"kind": "Status", "code": found, "message": "no"}, status=found)
        if found is None:
            return web.json_response({"kind": "Status", "code": 404, "reason": "NotFound"}, status=404)
        return web.json_response(found)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await closed(runner)


async def test_documents_come_by_the_service_account_too(server: Server) -> None:
    server.objects = {
        "/version": {"gitVersion": "v1.37.2"},
        "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices": {
            "items": [{"endpoints": []}],
            "metadata": {},
        },
        "/api/v1/namespaces/a/secrets/b": 403,
    }
    async with Client(Access(server.url)) as client:
        documents = Documents(Inside(client))
        assert await documents.one("/version") == {"gitVersion": "v1.37.2"}
        assert await documents.one("/api/v1/namespaces/a/services/none") is None
        path = "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices"
        assert await documents.all(path, "labelSelector=kubernetes.io/service-name%3Dx") == [
            {"endpoints": []}
        ]
        assert server.asked[-1][1] == {"labelSelector": "kubernetes.io/service-name=x", "limit": "500"}
        with pytest.raises(Permanent):
            await documents.one("/api/v1/namespaces/a/secrets/b")


def pods(*names: str, **phases: str) -> dict[str, Any]:
    items = [
        {
            "metadata": {"uid": f"uid-{name}", "name": name, "namespace": "pillion"},
            "status": {"phase": phases.get(name, "Running")},
        }
        for name in names
    ]
    return {"kind": "PodList", "items": items, "metadata": {"resourceVersion": "7"}}


async def test_the_sweep_gets_the_pods_that_have_not_ended(server: Server) -> None:
    server.objects = {
        "/api/v1/pods": pods("me", "other", "done", "failed", done="Succeeded", failed="Failed")
    }
    async with Client(Access(server.url)) as client:
        assert await Living(client, Own("me", "pillion")).living() == {"uid-me", "uid-other"}


@pytest.mark.parametrize("found", [pods("other"), pods(), 500, 403])
async def test_the_sweep_gets_an_error_where_the_list_lacks_the_pod_that_asks_or_fails(
    server: Server, found: Any
) -> None:
    server.objects = {"/api/v1/pods": found}
    async with Client(Access(server.url)) as client:
        with pytest.raises((Transient, Permanent)):
            await Living(client, Own("me", "pillion")).living()
