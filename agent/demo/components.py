"""The servers that the demo and the tests run: name, version, and where their binary is found."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Component:
    """One server's binary. ``version`` is part of the cached file's name, so that a new version is obtained anew."""

    name: str
    version: str

    @property
    def cached(self) -> Path:
        """Where Pillion keeps the binary once it was obtained."""
        return cache() / f"{self.name}-{self.version}"


COMPONENTS = {
    component.name: component
    for component in (
        Component("consul", "1.20.0"),
        Component("envoy", "1.40.0"),
        Component("nats-server", "2.15.1"),
        Component("jaeger", "2.13.0"),
    )
}


def cache() -> Path:
    """Pillion's folder of obtained binaries."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pillion" / "bin"


def find(name: str) -> Path | None:
    """The component's binary from PATH or the cache, or None when it must be obtained."""
    on_path = shutil.which(name)
    if on_path:
        return Path(on_path)
    cached = COMPONENTS[name].cached
    return cached if cached.exists() else None
