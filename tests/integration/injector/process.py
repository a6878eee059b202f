"""``pillion injector`` as a process, and an API server's way of asking it."""

import asyncio
import base64
import io
import json
import os
import signal
import ssl
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from agent.demo.backing import free_port
from tests.waiting import until

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"generateName": "shop-7d9c5-", "labels": {"app": "shop"}},
    "spec": {
        "containers": [
            {"name": "shop", "image": "shop:1", "ports": [{"containerPort": 8000, "name": "http"}]},
        ]
    },
}
STARTS = 60.0
"""Seconds for what takes two of them on an idle machine: a start, an end."""


def review(**changes: Any) -> dict[str, Any]:
    """A review of a pod that is created in the namespace ``shop``."""
    request = {
        "uid": str(uuid.uuid4()),
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": "shop",
        "object": POD,
        "dryRun": False,
    } | changes
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


class Injector:
    """One replica."""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        account: Path,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port, self.health, self.metrics = (free_port() for _ in range(3))
        webhook = {"listen": f"127.0.0.1:{self.port}", "account_dir": str(account), "spread": "300ms"}
        self.settings = {
            "webhook": webhook | dict((settings or {}).get("webhook", {})),
            "injector": dict((settings or {}).get("injector", {})),
            "admin": {"health": f"127.0.0.1:{self.health}", "metrics": f"127.0.0.1:{self.metrics}"},
        }
        self.file = folder / "pillion.yaml"
        self.environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **environ}
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it need not be ready yet."""
        self.file.write_text(json.dumps(self.settings))
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent", "injector", "--config", str(self.file)],
                env=self.environ, stdout=out, stderr=out,
            )  # fmt: skip

    async def stop(self) -> int:
        """SIGTERM and its exit code; SIGKILL when it does not end."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.to_thread(self.process.wait, STARTS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end: {self.said()}") from None
        finally:
            self.process = None

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    async def ended(self, within: float = STARTS) -> int:
        """Its exit code when it ends by itself."""
        assert self.process is not None
        code = await asyncio.to_thread(self.process.wait, within)
        self.process = None
        return code

    def said(self) -> str:
        """Its log."""
        return self.log.read_text()

    async def get(self, path: str, port: int = 0) -> tuple[int, str]:
        """What a probe or a scrape gets; status 0 when nothing listens."""
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"http://127.0.0.1:{port or self.health}{path}") as answer,
            ):
                return answer.status, await answer.text()
        except aiohttp.ClientError as error:
            return 0, str(error)

    async def readiness(self) -> tuple[int, str]:
        """What ``/readyz`` says."""
        return await self.get("/readyz")

    async def ready(self, within: float = STARTS) -> None:
        """Wait until it is."""

        async def is_ready() -> bool:
            status, words = await self.readiness()
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"it ended: {self.said()}")
            assert status == 200, words
            return True

        await until(is_ready, within)

    async def unready(self, words: str, within: float = STARTS) -> None:
        """Wait until it is not, with these words in the reason."""

        async def is_unready() -> bool:
            status, said = await self.readiness()
            return status == 503 and words in said

        await until(is_unready, within)

    async def sample(self, name: str, **labels: str) -> float:
        """One number of its metrics."""
        shown = "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}" if labels else ""
        _, text = await self.get("/metrics", self.metrics)
        for line in text.splitlines():
            if line.startswith(f"{name}{shown} "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no {name}{shown} in {text}")


def trusting(bundle: str | bytes) -> ssl.SSLContext:
    """What an API server checks: a bundle as it stands in a webhook configuration (base64), or PEM."""
    pem = base64.b64decode(bundle) if isinstance(bundle, str) else bundle
    return ssl.create_default_context(cadata=pem.decode())


class Caller:
    """Asks as an API server does: by TLS that it checks, over connections that it keeps."""

    def __init__(self, injector: Injector, context: ssl.SSLContext, name: str = "127.0.0.1") -> None:
        self._url = f"https://127.0.0.1:{injector.port}/mutate"
        self._name = name
        self._context = context
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60))

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def raw(self, body: bytes, form: str = "application/json") -> tuple[int, str]:
        """Status and text of an answer to any body."""
        headers = {"Content-Type": form}
        async with self.session.post(
            self._url, data=io.BytesIO(body), headers=headers, ssl=self._context, server_hostname=self._name
        ) as answer:
            return answer.status, await answer.text()

    async def ask(self, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The response to a review; it answers the review's uid."""
        asked = review() if body is None else body
        status, text = await self.raw(json.dumps(asked).encode())
        assert status == 200, text
        response: dict[str, Any] = json.loads(text)["response"]
        assert response["uid"] == asked["request"]["uid"]
        return response

    async def judged(self, namespace: str) -> dict[str, Any]:
        """The response to a pod of a namespace.

        Asked again, as a controller does, where the API server did not tell of the namespace in time.
        """
        while True:
            response = await self.ask(review(namespace=namespace))
            if response.get("status", {}).get("code") != 503:
                return response
