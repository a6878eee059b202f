"""What `pillion doctor --kubernetes` looks at: a cluster, by kubectl or from within a pod."""

import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.config.settings import Settings
from agent.doctor.api import Api
from agent.doctor.documents import Documents
from agent.doctor.finding import Check
from agent.doctor.kubectl import Kubectl
from agent.inject.cluster import access, errors
from agent.inject.cluster.client import Client
from agent.runtime.errors import Misconfigured, Problem


class Inside:
    """The API server as a pod reaches it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get(self, path: str) -> Any:
        """See ``agent.doctor.api.Api``."""
        try:
            return await self._client.ask(path)
        except errors.Absent:
            return None


@asynccontextmanager
async def api(context: str, settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[Api]:
    """The way to the API server: in a pod by its service account, elsewhere and with a ``context`` by kubectl.

    Raises Misconfigured where there is neither.
    """
    if context or not environ.get("KUBERNETES_SERVICE_HOST"):
        yield Kubectl(context)
        return
    async with Client(access.in_cluster(environ, Path(settings.webhook.account_dir))) as client:
        yield Inside(client)


@asynccontextmanager
async def cluster(api: Api) -> AsyncIterator[tuple[Check, ...]]:
    """The checks of a cluster; what they ask for is remembered within the block."""
    try:
        module = importlib.import_module("agent.doctor.cluster")
    except ImportError as error:
        wrong = f"needs {error.name}, which is not installed: pip install 'pillion[kubernetes]'"
        raise Misconfigured([Problem("--kubernetes", wrong)]) from error
    documents = Documents(api)
    try:
        yield module.Cluster(documents).checks()
    finally:
        await documents.close()
