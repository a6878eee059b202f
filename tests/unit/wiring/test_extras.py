"""The core works without the extras' drivers."""

import subprocess
import sys

DRIVERS = ("asyncpg", "nats", "cryptography", "flask", "sqlalchemy", "psycopg")


def test_the_agent_loads_without_the_drivers_of_any_extra() -> None:
    """A plain `pip install pillion` runs a service without an outbox."""
    refuse = f"import sys; sys.modules.update(dict.fromkeys({DRIVERS!r}))"
    load = "import agent.cli.agent, agent.cli.run, agent.cli.gateway, agent.cli.status, agent.cli.envoy"
    done = subprocess.run(
        [sys.executable, "-c", f"{refuse}; {load}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
