"""HTTP for the suite: a receiver that stores what it acknowledges."""

import base64
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from agent.config.sections.outbox import Broker
from agent.demo import backing
from agent.demo.process import Process
from agent.outbox.brokers.http import LARGEST
from tests.integration.outbox.brokers.http_receiver import REFUSED
from tests.integration.outbox.brokers.rig import PASSWORD, UNHURRIED, USER, Certificates, Stored, Way
from tests.ports import free_port

ROOT = Path(__file__).parents[4]


class HttpRig:
    """See ``rig.Rig``. A place is a path."""

    name = "http"
    lacks = frozenset({"unroutable", "missing", "create"})
    oversize = LARGEST + 1

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.listen, self.target, self._tls = free_port(), free_port(), free_port()
        self._ca = certificates.ca
        self._file = folder / "events"
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        argv = [
            sys.executable, "-m", "tests.integration.outbox.brokers.http_receiver", str(self.target),
            str(self._tls), str(certificates.certificate), str(certificates.key), str(self._file),
            f"Basic {basic}",
        ]  # fmt: skip
        self._process = Process(
            "receiver", argv, folder / "receiver.log", cwd=ROOT, answers=lambda: backing.tcp_ok(self.target)
        )

    def start(self) -> None:
        if self._process.pid is None:
            self._process.start(60)

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        self._process.kill()

    def settings(
        self,
        place: str,
        way: Way = "plain",
        *,
        password: str = PASSWORD,
        create: bool = False,
    ) -> Broker:
        scheme = "https" if way == "tls" else "http"
        port = {"plain": self.target, "tls": self._tls, "proxy": self.listen}[way]
        return Broker(
            url=f"{scheme}://{USER}:{password}@127.0.0.1:{port}/{place}", timeout=UNHURRIED,
            ca_cert=str(self._ca) if way == "tls" else "",
        )  # fmt: skip

    async def prepare(self, place: str) -> None:
        """Any path takes events."""

    async def readers_return(self, place: str) -> None:
        """What is there stays as it was."""

    async def read(self, place: str) -> list[Stored]:
        lines = [json.loads(line) for line in self._file.read_text().splitlines()]
        return [stored(line["headers"], line["body"]) for line in lines if line["place"] == place]

    async def refusing(self, place: str) -> dict[str, Any]:
        return {"type": REFUSED}

    def unroutable(self, place: str) -> str:
        raise NotImplementedError


def stored(headers: dict[str, str], body: str) -> Stored:
    """A request as the receiver sees it."""
    attributes = {
        name.removeprefix("ce-"): unquote(value) for name, value in headers.items() if name.startswith("ce-")
    }
    data = base64.b64decode(body)
    if data:
        attributes["datacontenttype"] = headers["content-type"]
    return Stored(
        unquote(headers["pillion-topic"]),
        attributes.get("partitionkey"),
        attributes,
        data,
        headers["webhook-id"],
    )
