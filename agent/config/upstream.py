"""What holds for one upstream: `traffic`, changed by `upstreams.*`, changed by the upstream itself."""

import msgspec

from agent.config import fields, values
from agent.config.problems import Report
from agent.config.sections.traffic import Path, Traffic
from agent.config.settings import Settings
from agent.config.shapes import Group


def traffic_for(settings: Settings, name: str) -> Traffic:
    """The traffic settings towards the upstream ``name``. Pure; raises Misconfigured where they were never
    checked and don't fit."""
    changes: dict[str, object] = {}
    for key in dict.fromkeys(("*", name)):
        upstream = settings.upstreams.get(key)
        changes.update(upstream.traffic if upstream else {})
    if not changes:
        return settings.traffic
    report = Report()
    read = values.read(_shape(), changes, f"upstreams.{name}.traffic", report)
    report.check()
    return msgspec.convert({**msgspec.to_builtins(settings.traffic), **_mapping(read)}, Traffic)


def paths_for(settings: Settings, name: str) -> dict[str, Path]:
    """What single path prefixes of the upstream ``name`` change, by prefix without a trailing slash (``/``:
    all paths): its own entries, and those of ``*`` for prefixes of which it says nothing."""
    found: dict[str, Path] = {}
    for key in dict.fromkeys(("*", name)):
        upstream = settings.upstreams.get(key)
        found.update({path.prefix.rstrip("/") or "/": path for path in (upstream.paths if upstream else ())})
    return found


def _shape() -> Group:
    shape = fields.shape().members["traffic"].shape
    assert isinstance(shape, Group)
    return shape


def _mapping(read: object) -> dict[str, object]:
    assert isinstance(read, dict)
    return read
