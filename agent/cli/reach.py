"""The running agent's API, from the command line."""

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.config.bound import bound
from agent.config.place import Place
from agent.config.settings import Settings
from agent.model.address import Address
from agent.runtime.errors import Misconfigured, Problem, Transient
from agent.runtime.words import words

SECTIONS = ("admin", "state", "service")
"""The settings by which an agent is found."""


@dataclass(frozen=True)
class Answer:
    """What the agent said."""

    status: int
    body: str
    where: str
    """HOST:PORT, for texts."""

    def data(self) -> Any:
        """The body as JSON; raises Transient where it is none: something else listens there."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Transient(
                f"what answers at {self.where} is no Pillion agent: name the agent's own --address"
            ) from error


def find(settings: Settings, address: str | None) -> Address:
    """Where the agent listens: ``address`` (``--address``), else ``admin.listen``.

    Raises Misconfigured for a malformed address and for a free port (0) that is not on record.
    """
    try:
        found = Address.parse(address or settings.admin.listen)
    except ValueError as error:
        raise Misconfigured([Problem("--address", str(error), "HOST:PORT")]) from error
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(found.host, found.host)  # noqa: S104 - connected to
    port = found.port or kept_ports(Place.of(settings, os.environ).ports).get("admin", 0)
    if not port:
        wrong = "has the port 0 (a free one), and no agent has left word in state.dir which it chose"
        raise Misconfigured([Problem("admin.listen", wrong, "the running agent's --address or --state-dir")])
    return Address(host, port)


def placed(settings: Settings, gateway: bool) -> Place:
    """The state folder of the agent with these settings."""
    return Place.of(settings, os.environ, "gateway" if gateway else "")


def with_ports(settings: Settings, place: Place) -> Settings:
    """The settings with the free ports that an agent with this state folder chose; 0 where it left no word."""
    kept = kept_ports(place.ports)
    return bound(settings, lambda name, _, port: port or kept.get(name, 0))


def kept_ports(file: Path) -> dict[str, int]:
    """The ports that an agent with this state folder chose, by name; none where there is no such record."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: port for name, port in content.items() if type(port) is int}


def call(
    address: Address, path: str, *, method: str = "GET", body: bytes | None = None, timeout: float = 5.0
) -> Answer:
    """One request, past any proxy of the environment; raises Transient when no agent answers there."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"http://{address}{path}", data=body, method=method)
    try:
        with opener.open(request, timeout=timeout) as response:
            return Answer(response.status, response.read().decode(errors="replace"), str(address))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode(errors="replace"), str(address))
    except (OSError, ValueError) as error:
        raise Transient(
            f"no agent answers at {address} ({words(error)}): is `pillion run` running?"
        ) from error
