"""``pillion envoy`` against real Consul and Envoy."""

import asyncio
import json
import sys
from pathlib import Path

import yaml

from agent.demo.backing import Consul, free_port
from agent.registry import remembered


async def pillion(*arguments: str, folder: Path) -> tuple[int, str, str]:
    """Run a command with settings of its own: exit status, standard output and error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *arguments, "--service-name", "front", "--service-port", "9000",
        "--state-dir", str(folder),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_render_shows_what_is_registered_and_validate_asks_envoy(
    own_consul: Consul, folder: Path
) -> None:
    """A Consul in which nobody left more than can be read in the time that a command takes."""
    consul = ("--registry-address", own_consul.url)
    code, out, err = await pillion("envoy", "render", *consul, folder=folder)
    assert (code, err) == (0, "")
    assert {"clusters", "endpoints", "listeners", "routes"} == set(yaml.safe_load(out))
    code, out, err = await pillion("envoy", "validate", *consul, folder=folder)
    assert (code, err) == (0, "")
    assert "Envoy accepts it" in out


async def test_without_consul_the_last_known_catalogue_is_used_and_that_is_said(folder: Path) -> None:
    nowhere = ("--registry-address", f"127.0.0.1:{free_port()}")
    code, _, err = await pillion("envoy", "render", *nowhere, folder=folder)
    assert (code, "no other service is known" in err) == (0, True)
    (folder / "catalog.json").write_bytes(remembered.encode([], ""))
    code, out, err = await pillion("envoy", "render", "--static", "--format", "json", *nowhere, folder=folder)
    assert code == 0
    assert "known last" in err
    assert "static_resources" in json.loads(out)


async def test_what_envoy_refuses_ends_with_its_words(folder: Path) -> None:
    assets = folder / "assets"
    assets.mkdir()
    (assets / "bootstrap.yaml").write_text((Path("envoy") / "bootstrap.yaml").read_text() + "\nno_such: 1\n")
    nowhere = f"127.0.0.1:{free_port()}"
    code, _, err = await pillion(
        "envoy", "validate", "--registry-address", nowhere, "--proxy-assets-dir", str(assets), folder=folder
    )
    assert code == 1
    assert "Envoy refuses it" in err
    assert "no_such" in err


async def test_bootstrap_names_the_sockets(folder: Path) -> None:
    code, out, _ = await pillion("envoy", "bootstrap", folder=folder)
    assert code == 0
    assert yaml.safe_load(out)["admin"]["address"]["pipe"]["path"] == str(folder / "admin.sock")
