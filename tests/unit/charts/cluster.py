"""Secrets as the Kubernetes API keeps them, in memory."""

import copy
from collections.abc import Callable
from typing import Any


class Cluster:
    """The few calls that make_secrets.py makes; ``calls`` are their methods and paths."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.meanwhile: Callable[[str], None] = lambda method: None
        """Called before each write, as somebody else's turn."""
        self._version = 0

    def call(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """One request. Source: Kubernetes' API conventions, and RFC 7386 for the merge."""
        self.calls.append((method, path))
        if method != "GET":
            act, self.meanwhile = self.meanwhile, lambda method: None
            act(method)
        key = f"{path}/{body['metadata']['name']}" if method == "POST" else path
        known = self.secrets.get(key)
        if method == "POST":
            if known is not None:
                return 409, {"message": "already exists"}
            return 201, self.put(key, body)
        if known is None:
            return 404, {"message": "not found"}
        if method == "PATCH":
            if body["metadata"]["resourceVersion"] != known["metadata"]["resourceVersion"]:
                return 409, {"message": "the object has been modified"}
            self.put(key, {**known, "data": {**known["data"], **body["data"]}})
        return 200, copy.deepcopy(self.secrets[key])

    def put(self, key: str, secret: dict[str, Any]) -> dict[str, Any]:
        """Keep a Secret under a new version."""
        self._version += 1
        kept = copy.deepcopy(secret)
        kept["metadata"]["resourceVersion"] = str(self._version)
        self.secrets[key] = kept
        return kept
