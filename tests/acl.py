"""A Consul that lets nobody in without a token."""

import json
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from agent.demo import backing

RULES = """
service_prefix "" { policy = "write" }
node_prefix "" { policy = "read" }
agent_prefix "" { policy = "read" }
key_prefix "" { policy = "read" }
"""
"""What an agent needs."""


class AclConsul(backing.Consul):
    """Real Consul with ``default_policy`` ``deny``; asked with its management token."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.management = str(uuid.uuid4())
        file = folder / "consul.json"
        acl = {
            "enabled": True,
            "default_policy": "deny",
            "tokens": {"initial_management": self.management, "agent": self.management},
        }
        file.write_text(json.dumps({**json.loads(file.read_text()), "acl": acl}))
        self._answers = self._lets_in

    def _lets_in(self) -> bool:
        return bool(self.ask("/v1/status/leader")) and len(self.ask("/v1/catalog/nodes")) == 1

    def ask(self, path: str, body: Any = None, method: str = "GET") -> Any:
        """Consul's JSON answer; raises OSError for a refusal."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Consul-Token": self.management}
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with backing.direct().open(request, timeout=5) as answer:
            return json.loads(answer.read() or b"null")

    def prepare(self) -> None:
        """The policy that ``grant`` gives."""
        self.ask("/v1/acl/policy", {"Name": "pillion", "Rules": RULES}, "PUT")

    def grant(self) -> tuple[str, str]:
        """A new token: its id for revoking, and its secret."""
        made = self.ask("/v1/acl/token", {"Policies": [{"Name": "pillion"}]}, "PUT")
        return made["AccessorID"], made["SecretID"]

    def revoke(self, accessor: str) -> None:
        """Delete a token."""
        self.ask(f"/v1/acl/token/{accessor}", method="DELETE")

    def status(self, service: str) -> list[str]:
        """The state of each instance's own check, as the servers' catalogue has it."""
        return [
            check["Status"]
            for entry in self.ask(f"/v1/health/service/{service}")
            for check in entry["Checks"]
            if check["ServiceName"] == service
        ]
