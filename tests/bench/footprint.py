"""What an agent costs beside one idle service: memory and CPU of each of its processes.

Run as `make bench`; SECONDS in the environment changes how long it looks (30).
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from agent.demo import backing, components
from agent.demo.sidecar import Sidecar
from agent.runtime.ports import PortBook

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def processes(pid: int) -> dict[int, str]:
    """The supervisor and all below it, each by what it is."""
    found = {pid: "supervisor"}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            line = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            words = b" ".join(line).decode()
            kind = "envoy" if Path(os.fsdecode(line[0])).name.startswith("envoy") else "agent"
            kind = "service (gunicorn)" if "gunicorn" in words and "--supervisor-fd" not in words else kind
            found[int(child)] = kind
    return found


def memory(pid: int) -> float:
    """Resident memory in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6


def cpu(pid: int) -> float:
    """Seconds of CPU used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def settle(*pids: int, within: float = 60.0) -> None:
    """Wait until the processes have started for good: a second in which they take less than a twentieth of a core. What
    starting costs is not what idling costs. Raises TimeoutError."""
    ends = time.monotonic() + within
    while time.monotonic() < ends:
        before = sum(map(cpu, pids))
        time.sleep(1)  # the window that is measured
        if sum(map(cpu, pids)) - before < 0.05:
            return
    raise TimeoutError(f"the processes {pids} take no rest within {within:g} s")


def main(seconds: float) -> None:
    """Start one service, wait, print a line for each process."""
    with tempfile.TemporaryDirectory(prefix="pillion-bench-") as name:
        folder = Path(name)
        consul = backing.Consul(folder / "consul")
        settings = {
            "service": {"name": "inventory", "health_path": "/healthz"},
            "registry": {"address": consul.url, "spread": 0},
            "proxy": {"envoy": backing.binary("envoy"), "drain_time": 0},
        }
        sidecar = Sidecar(
            folder / "inventory",
            settings,
            PortBook(folder / "ports.json"),
            command=[sys.executable, "-m", "gunicorn", "app:app"],
            cwd=components.data() / "services" / "inventory",
        )
        try:
            consul.start()
            sidecar.start(within=60)
            there = processes(sidecar.pid or 0)
            settle(*there)
            before = {pid: cpu(pid) for pid in there}
            time.sleep(seconds)
            sys.stdout.write(f"idle for {seconds:g} s beside one service\n")
            for pid, kind in there.items():
                used = (cpu(pid) - before[pid]) / seconds * 100
                sys.stdout.write(f"  {kind:<20}{memory(pid):7.1f} MB{used:7.2f} % of a core\n")
        finally:
            sidecar.stop()
            consul.stop()


if __name__ == "__main__":
    main(float(os.environ.get("SECONDS", "30")))
