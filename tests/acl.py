"""Consul asked from a test, and one that lets nobody in without a token."""

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


def denying(management: str) -> dict[str, Any]:
    """Consul's section ``acl`` that lets in whoever has a token; ``management`` may do all."""
    tokens = {"initial_management": management, "agent": management}
    return {"enabled": True, "default_policy": "deny", "tokens": tokens}


class Asked:
    """Asks a Consul; raises OSError for a refusal or when nobody answers within half a minute."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self.token = token

    def raw(self, path: str, body: bytes | None = None, method: str = "GET") -> bytes:
        """The answer as it is."""
        request = urllib.request.Request(self.url + path, data=body, method=method)
        if self.token:
            request.add_header("X-Consul-Token", self.token)
        with backing.direct().open(request, timeout=30) as answer:
            found: bytes = answer.read()
            return found

    def ask(self, path: str, body: Any = None, method: str = "GET") -> Any:
        """The answer's JSON."""
        data = None if body is None else json.dumps(body).encode()
        return json.loads(self.raw(path, data, method) or b"null")

    def prepare(self) -> None:
        """The policy that ``grant`` gives."""
        self.ask("/v1/acl/policy", {"Name": "pillion", "Rules": RULES}, "PUT")

    def grant(self, secret: str = "", policy: str = "pillion") -> tuple[str, str]:
        """A new token, ``secret`` if it is given: its id for ``revoke``, and its secret."""
        wanted = {"SecretID": secret} if secret else {}
        made = self.ask("/v1/acl/token", {"Policies": [{"Name": policy}], **wanted}, "PUT")
        return made["AccessorID"], made["SecretID"]

    def granted(self, rules: str) -> str:
        """The secret of a new token with these rules."""
        name = uuid.uuid4().hex
        self.ask("/v1/acl/policy", {"Name": name, "Rules": rules}, "PUT")
        return self.grant(policy=name)[1]

    def revoke(self, accessor: str) -> None:
        """Delete a token."""
        self.ask(f"/v1/acl/token/{accessor}", method="DELETE")


class AclConsul(backing.Consul, Asked):
    """Real Consul with ``default_policy`` ``deny``; asked with its management token."""

    def __init__(self, folder: Path) -> None:
        backing.Consul.__init__(self, folder)
        self.management = str(uuid.uuid4())
        Asked.__init__(self, self.url, self.management)
        file = folder / "consul.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "acl": denying(self.management)}))
        self._answers = self._lets_in

    def _lets_in(self) -> bool:
        return bool(self.ask("/v1/status/leader")) and len(self.ask("/v1/catalog/nodes")) == 1

    def status(self, service: str) -> list[str]:
        """The state of each instance's own check, as the servers' catalogue has it."""
        return [
            check["Status"]
            for entry in self.ask(f"/v1/health/service/{service}")
            for check in entry["Checks"]
            if check["ServiceName"] == service
        ]
