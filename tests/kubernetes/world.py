"""Everything that a test needs: the cluster, what is installed in it, and how to ask that."""

import base64
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from agent.demo import backing
from tests.kubernetes.helm import Helm
from tests.kubernetes.install import INFRA, PILLION, SERVERS, SYSTEM, Images
from tests.kubernetes.kube import Kube, until
from tests.record import Record


@dataclass(frozen=True)
class Answer:
    """A response, read whole."""

    status: int
    headers: dict[str, str]
    """By names in lower case."""
    body: str

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class World:
    """One cluster with everything installed."""

    kube: Kube
    helm: Helm
    images: Images
    record: Record
    api: str
    """The API server's address on this machine."""

    @property
    def consul(self) -> str:
        """The servers' HTTP API."""
        return self.service(SERVERS, f"{INFRA}-consul", 8500)

    @property
    def jaeger(self) -> str:
        """The query API."""
        return self.service(SERVERS, f"{INFRA}-jaeger", 16686)

    @property
    def gateway(self) -> str:
        """The address in front of all services."""
        return self.service(SYSTEM, f"{PILLION}-gateway", 80)

    def service(self, namespace: str, name: str, port: int) -> str:
        """The URL of a Service by way of the API server."""
        return f"{self.api}/api/v1/namespaces/{namespace}/services/{name}:{port}/proxy"

    def pod(self, namespace: str, name: str, port: int) -> str:
        """The URL of a pod by way of the API server."""
        return f"{self.api}/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy"

    def send(self, url: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        """One request; ``_`` in a header's name stands for ``-``."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, method=method)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with backing.direct().open(request, timeout=20) as answer:
                return _answer(answer.status, answer)
        except urllib.error.HTTPError as error:
            return _answer(error.code, error)

    def ask(self, url: str) -> Any:
        """The JSON of an answer that must be 200."""
        answer = self.send(url)
        assert answer.status == 200, f"{url} answered {answer.status}: {answer.body[:300]}"
        return answer.json

    def instances(self, service: str) -> list[dict[str, Any]]:
        """Consul's entries of a service, healthy or not: node, service and checks."""
        return list(self.ask(f"{self.consul}/v1/health/service/{service}"))

    def passing(self, service: str) -> list[dict[str, Any]]:
        """The services of the entries whose checks all pass."""
        return [
            entry["Service"]
            for entry in self.instances(service)
            if all(check["Status"] == "passing" for check in entry["Checks"])
        ]

    def ghosts(self, service: str, namespace: str) -> list[str]:
        """The instances in Consul that no living pod of the namespace is behind."""
        uids = {pod["metadata"]["uid"] for pod in self.kube.every("pods", namespace)}
        return [
            entry["Service"]["ID"]
            for entry in self.instances(service)
            if not any(uid in entry["Service"]["ID"] for uid in uids)
        ]

    def has(self, service: str, count: int, within: float = 90) -> list[dict[str, Any]]:
        """Wait until exactly so many instances are registered and all pass; their services."""

        def all_there() -> list[dict[str, Any]] | None:
            entries, passing = self.instances(service), self.passing(service)
            assert len(entries) == len(passing) == count, f"{len(passing)} of {len(entries)} pass"
            return passing or [{}]

        found = until(f"{count} instances of {service}", all_there, within)
        return [one for one in found if one]

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        """A Secret's values."""
        found = self.kube.get("secret", name, namespace)
        assert found is not None, f"there is no Secret {name} in {namespace}"
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def _answer(status: int, response: Any) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status, headers, response.read().decode(errors="replace"))
