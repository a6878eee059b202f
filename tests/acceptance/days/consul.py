"""Real Consul as a day needs it: it keeps its data over a kill, can lose it, and may let in only who has a token."""

import shutil
import uuid
from pathlib import Path

from agent.demo import backing
from tests.acl import Asked, denying
from tests.integration.registry.servers import Member

ALONE = {"server": True, "bootstrap_expect": 1, "performance": {"raft_multiplier": 1}}


class Watched(Asked):
    """A Consul whose catalogue is looked at."""

    def states(self, service: str) -> list[list[str]]:
        """Of each instance of a service the states of all its checks."""
        return [
            [check["Status"] for check in row["Checks"]] for row in self.ask(f"/v1/health/service/{service}")
        ]


class Kept(Member, Watched):
    """A single server with its data on disk."""

    def __init__(self, folder: Path, *, acl: bool) -> None:
        self.acl = acl
        self._folder = folder
        management = str(uuid.uuid4()) if acl else ""
        ports: dict[str, int] = {}
        for name in ("http", "server", "serf_lan", "serf_wan"):
            ports[name] = -1 if name == "serf_wan" else backing.free_port(ports.values())
        guarded = {"acl": denying(management)} if acl else {}
        Member.__init__(self, folder, "alone", ports, [], **ALONE, **guarded)
        Watched.__init__(self, f"http://127.0.0.1:{ports['http']}", management)

    def _serves(self) -> bool:
        """Led, and with its own node in the catalogue; also for the holder of its token."""
        return super()._serves() and bool(self.ask("/v1/catalog/nodes"))

    def wipe(self) -> None:
        """Lose everything; only while it is stopped."""
        shutil.rmtree(self._folder / "data")

    def save(self) -> bytes:
        """The whole state, for ``put_back``."""
        return self.raw("/v1/snapshot")

    def put_back(self, state: bytes) -> None:
        """Return to a state that was saved."""
        self.raw("/v1/snapshot", state, "PUT")
