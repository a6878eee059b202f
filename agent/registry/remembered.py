"""The last catalogue on disk, so that an agent that starts while Consul is away knows whom to call.

The file holds instances in the form of Consul's own health entries: reading it back goes through the same
checks.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from agent.model.catalog import Instance, Service
from agent.registry import advertise, decode

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Remembered:
    """What an earlier run knew."""

    services: Mapping[str, decode.Reading] = field(default_factory=dict)
    identity: str = ""
    """Names the datastore that it came from; empty when unknown."""


def encode(services: Iterable[Service], identity: str) -> bytes:
    """The file's content."""
    # Service by service: as one object 10,000 instances would take 15 MB for a moment, which the process keeps.
    parts = sorted((one.name, _text(_rows(one))) for one in services if one.instances)
    inner = ",".join([f"{_text(name)}:{rows}" for name, rows in parts])
    text = f'{{"identity":{_text(identity)},"services":{{{inner}}}}}'
    return json.dumps({"hash": _hash(text), "body": text}).encode()


def load(path: Path) -> Remembered:
    """Read the file; one that is absent, damaged or malformed counts as empty."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Remembered()
    except OSError as error:
        log.warning("catalog.file_unreadable", path=str(path), error=str(error))
        return Remembered()
    found = parse(data)
    if found is None:
        log.warning("catalog.file_damaged", path=str(path))
    return found or Remembered()


def parse(data: bytes) -> Remembered | None:
    """The content of a file, None when it is not what ``encode`` wrote. Pure."""
    try:
        outer = json.loads(data)
        if _hash(outer["body"]) != outer["hash"]:
            return None
        body = json.loads(outer["body"])
        services = {
            name: decode.reading(name, rows) for name, rows in body["services"].items() if decode.usable(name)
        }
        return Remembered(services, str(body["identity"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _rows(service: Service) -> list[dict[str, Any]]:
    return [_row(service, instance) for instance in service.instances]


def _row(service: Service, instance: Instance) -> dict[str, Any]:
    meta = advertise.written(instance.offer)
    if instance.zone:
        meta[advertise.ZONE] = instance.zone
    if instance.namespace:
        meta[advertise.NAMESPACE] = instance.namespace
    if instance.metrics:
        meta[advertise.METRICS] = str(instance.metrics)
    if service.routes:
        meta[advertise.ROUTES] = " ".join(service.routes[: advertise.MOST_ROUTES])
    body = {"ID": instance.id, "Service": service.name, "Address": instance.address.host}
    return {"Service": {**body, "Port": instance.address.port, "Meta": meta}}


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
