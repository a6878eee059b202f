"""A request as Envoy's route tables see it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """Method, authority, path and headers after the connection manager's own doing."""

    method: str
    authority: str
    path: str | None
    """Path and query; None for CONNECT."""
    headers: tuple[tuple[str, str], ...] = ()
    """Names in lower case; one may come several times."""

    @property
    def bare_path(self) -> str:
        """The path without query and fragment, which is what Envoy's path specifiers look at."""
        return (self.path or "").partition("#")[0].partition("?")[0]

    def values(self, name: str) -> tuple[str, ...]:
        """All values of a header, which Envoy looks at one by one; none where it is absent."""
        pseudo = {":method": self.method, ":authority": self.authority, ":path": self.path}
        if name in pseudo:
            found = pseudo[name]
            return () if found is None else (found,)
        return tuple(value for key, value in self.headers if key == name)

    def value(self, name: str) -> str:
        """A header's values, several joined by commas; empty where it is absent."""
        return ",".join(self.values(name))

    def without(self, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """The headers but for these."""
        gone = set(names)
        return tuple(one for one in self.headers if one[0] not in gone)
