"""What the pages about configuration and secrets tell people to type, typed at real Consul."""

import os
import shlex
import subprocess
from pathlib import Path

import msgspec

from agent.config import live
from agent.config.settings import Settings
from agent.demo import backing
from tests.integration.registry.side import call
from tests.integration.registry.test_store import agent
from tests.unit.docs import blocks
from tests.waiting import until

PAGES = [blocks.ROOT / "docs" / name for name in ("configuration-store.md", "secrets.md")]


def commands(page: Path) -> list[list[str]]:
    """The page's commands of Consul in their order."""
    lines = [
        line for one in blocks.blocks([page]) if one.language == "console" for line in one.text.splitlines()
    ]
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ consul ")]


def type_in(consul: backing.Consul, command: list[str]) -> None:
    environ = {**os.environ, "CONSUL_HTTP_ADDR": consul.url}
    subprocess.run([backing.binary("consul"), *command[1:]], env=environ, check=True, timeout=100)


async def test_every_command_of_consul_works_and_the_service_gets_what_it_says(
    own_consul: backing.Consul,
) -> None:
    typed = [command for page in PAGES for command in commands(page)]
    assert len(typed) == 7
    async with agent(own_consul, "orders") as seen:
        await seen.configuration()
        for command in typed:
            type_in(own_consul, command)
        wanted = {
            "region": b"eu-west-1",
            "feature/max-items": b"50",
            "db/password": b"file:/run/secrets/orders/password",
            "dsn": b"env:ORDERS_DSN",
        }
        await until(lambda: seen.values() == wanted)  # two folders, of which either may come first
    assert call(own_consul.url, "/v1/kv/pillion/orders") is None, "the last of them took the override back"


def test_the_override_of_the_page_is_taken() -> None:
    base = msgspec.convert({"service": {"name": "orders"}, "upstreams": {"inventory": {}}}, Settings)
    (document,) = [one[-1] for one in commands(PAGES[0]) if one[-2:-1] == ["pillion/orders"]]
    found = live.override(base, document.encode())
    assert (found.traffic.timeout, found.upstreams["inventory"].traffic) == (2.0, {"retries": 0})
