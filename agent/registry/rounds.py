"""What Consul says of the instances of a service that are restarted one after the other. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from agent.model.store import Store


def mark_of(store: Store) -> str:
    """Names the state of the store for all instances of the service, without its values. Pure."""
    rows = sorted((key, entry.index) for key, entry in store.entries.items())
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:32]


def passes(entries: list[Any]) -> bool:
    """Whether entries of the catalogue, unchecked, are of an instance all of whose checks pass. Pure."""
    return bool(entries) and all(_passing(entry) for entry in entries)


def _passing(entry: Any) -> bool:
    checks = entry.get("Checks") if isinstance(entry, Mapping) else None
    if not isinstance(checks, list) or not checks:
        return False
    return all(isinstance(check, Mapping) and check.get("Status") == "passing" for check in checks)


def instance_of(entry: Any) -> object:
    """The id of an entry's instance, unchecked; None when it has none."""
    service = entry.get("Service") if isinstance(entry, Mapping) else None
    return service.get("ID") if isinstance(service, Mapping) else None
