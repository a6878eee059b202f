"""One `pillion` process of a story: its file of settings, its folder, its status."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.ports import free_port
from tests.waiting import until


class Instance:
    """A `pillion run` or `pillion gateway` with everything on free local ports."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        command: Sequence[str] = (),
        *,
        verb: str = "run",
        environ: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """``prefix`` is a command that runs another, such as `ip netns exec NAME`."""
        self.prefix = list(prefix)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.inbound = free_port()
        self.outbound = free_port()
        self.admin = free_port()
        self.health = free_port()
        self.gateway = free_port()
        self.log = folder / "pillion.log"
        self.file = folder / "pillion.yaml"
        self.command = list(command)
        self.verb = verb
        self.environ = {**os.environ, **(environ or {})}
        self.file.write_text(yaml.safe_dump(_merged(self._base(), settings)))
        self.process: subprocess.Popen[bytes] | None = None

    def _base(self) -> dict[str, Any]:
        return {
            "proxy": {
                "inbound": f"127.0.0.1:{self.inbound}",
                "outbound": f"127.0.0.1:{self.outbound}",
                "concurrency": 1,
                "drain_time": 5,
            },
            "gateway": {"listen": f"127.0.0.1:{self.gateway}"},
            "admin": {"listen": f"127.0.0.1:{self.admin}", "health": f"127.0.0.1:{self.health}"},
            "registry": {"spread": 0.5},
            **({"service": {"port": free_port()}} if self.verb == "run" else {}),
            "state": {"dir": str(self.folder / "state")},
        }

    def start(self) -> "Instance":
        """Start the process; it is not ready yet."""
        argv = [sys.executable, "-m", "agent", self.verb, "--config", str(self.file)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *argv, *(["--", *self.command] if self.command else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environ,
                cwd=self.folder,
                start_new_session=True,
            )
        return self

    def get(self, path: str, port: int | None = None, timeout: float = 15.0) -> tuple[int, str]:
        """GET from one of the instance's own ports, the admin's by default: status (0: no answer) and body."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{port or self.admin}{path}", timeout=timeout) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (OSError, http.client.HTTPException) as error:  # the latter: it ended within its answer
            return 0, str(error)

    def json(self, path: str, port: int | None = None) -> Any:
        """What a GET with the answer 200 holds; raises AssertionError for any other, which a wait takes for not yet."""
        code, body = self.get(path, port)
        assert code == 200, f"{path}: {code} {body[:500]}"
        return json.loads(body)

    def call(self, host: str, path: str = "") -> int:
        """The status that the service got when it called another by name; 0 while it can't be asked."""
        code, body = self.get(f"/call/{host}?path={path}", self.inbound)
        return int(json.loads(body)["status"]) if code == 200 else 0

    def status(self) -> dict[str, Any]:
        """What the agent says of itself; empty when it does not answer."""
        code, body = self.get("/status")
        return json.loads(body) if code == 200 else {}

    def is_ready(self) -> bool:
        """Whether the agent says that the instance may get traffic."""
        if self.process is not None and self.process.poll() is not None:
            raise RuntimeError(f"pillion ended with {self.process.returncode}:\n{self.tail()}")
        return self.get("/readyz", self.health)[0] == 200

    async def settled(self, *upstreams: str) -> "Instance":
        """Wait until the service reaches these and Envoy has all that the agent has sent it.

        An agent's own registration changes its plan after it is ready: with its own name among these nothing more does.
        """
        for name in upstreams:
            await until(lambda name=name: self.call(name) == 200, within=30, every=0.1)
        await until(self._up_to_date, within=30)
        return self

    def _up_to_date(self) -> bool:
        envoy = self.status().get("envoy", {})
        return bool(envoy) and envoy["in_force"] == envoy["sent"] != ""

    async def ready(self, within: float = 60.0) -> "Instance":
        """Wait until the instance may get traffic."""
        try:
            await until(self.is_ready, within=within, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"not ready: {self.get('/readyz', self.health)}\n{self.tail()}") from error
        return self

    def tail(self, length: int = 5000) -> str:
        """The end of what the process wrote."""
        return self.log.read_text(errors="replace")[-length:] if self.log.exists() else ""

    def children(self) -> dict[str, int]:
        """The process ids below the supervisor, by what they are: ``agent``, ``envoy``, ``service``."""
        assert self.process is not None
        found: dict[str, int] = {}
        for child in _children(self.process.pid):
            line = _line(child)
            if not line:  # it has ended
                continue
            kind = (
                "agent"
                if "--supervisor-fd" in line
                else "envoy"
                if "envoy" in line.split(" ")[0]
                else "service"
            )
            found[kind] = child
        return found

    def terminate(self) -> None:
        """Ask the process to end, as an orchestrator does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def stop(self, within: float = 90.0) -> int:
        """End the process in order; by force after ``within`` seconds, which fails the story."""
        assert self.process is not None
        if self.process.poll() is None:
            self.terminate()
            try:
                self.process.wait(within)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                raise AssertionError(f"pillion did not end within {within} s:\n{self.tail()}") from None
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL the supervisor; its children get SIGTERM from the kernel."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has ended
            found += [int(child) for child in (entry / "children").read_text().split()]
    return found


def _line(pid: int) -> str:
    """A process's command line; empty when it has ended, reaped or not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        mine = result.get(key)
        result[key] = _merged(mine, value) if isinstance(mine, dict) and isinstance(value, Mapping) else value
    return result
