"""``pillion explain`` with an agent to ask, and without."""

import json
from pathlib import Path

import pytest

from agent.demo.backing import free_port
from agent.proxy import assets
from agent.proxy.planner import plan
from agent.registry import remembered
from agent.runtime.errors import Permanent
from agent.runtime.latest import Latest
from agent.wiring.base import Cells
from agent.wiring.explaining import explained
from tests.integration.admin.test_commands import pillion, running
from tests.unit.admin.examples import sources
from tests.unit.proxy.planner import sample

FILE = "service: {name: shop, port: 8000}\n"


def explainer(asked: bytes) -> dict[str, object]:
    """As an agent beside the service ``shop`` answers."""
    settings = sample.settings(sample.RICH)
    cells = Cells(Latest(settings), Latest(sample.CATALOG))
    return explained(cells, lambda catalog, now: plan(now, catalog, assets.load()), asked)


@pytest.fixture
def known(tmp_path: Path) -> tuple[str, ...]:
    """Options that name settings, and a catalogue on disk."""
    config, catalog = tmp_path / "pillion.yaml", tmp_path / "catalog.json"
    config.write_text(FILE)
    catalog.write_bytes(remembered.encode(sample.CATALOG.services.values(), "x"))
    return "--config", str(config), "--catalog", str(catalog)


async def test_the_running_agent_is_asked_with_its_own_settings() -> None:
    async with running(sources(explain=explainer)) as address:
        code, out, _ = await pillion("explain", "GET", "http://orders/x", "--address", address)
        assert code == 0
        assert f"by the agent at {address}" in out
        assert "settings pin v1" in out
        code, out, _ = await pillion(
            "explain", "GET", "http://orders/x", "-H", "X-API-Version: 7", "--json", "--address", address
        )
        told = json.loads(out)
        assert (code, told["outcome"], told["status"], told["in_force"]) == (1, "refused", 404, False)
        code, _, err = await pillion("explain", "GET", "/x", "--gateway", "--address", address)
        assert (code, "no listener gateway" in err) == (1, True)


async def test_without_an_agent_a_catalogue_on_disk_is_enough(known: tuple[str, ...]) -> None:
    code, out, _ = await pillion("explain", "GET", "http://orders/api/v2/x", *known)
    assert code == 0
    assert "orders v2.3 by url" in out
    assert "left out: v2.3 is asked for" in out
    code, out, _ = await pillion("explain", "get", "/api/v9/orders", "--gateway", *known)
    assert (code, "is refused with 404" in out) == (1, True)
    code, out, _ = await pillion("explain", "POST", "/x", "--inbound", "--json", *known)
    assert (code, json.loads(out)["cluster"]) == (0, "service_once")


async def test_without_an_agent_and_without_consul_it_says_so(known: tuple[str, ...], tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    options = (
        "--registry-address",
        nowhere,
        "--state-dir",
        str(tmp_path / "s"),
        "--admin-listen",
        f"127.0.0.1:{free_port()}",
    )
    code, out, err = await pillion("explain", "GET", "http://orders/", *known[:2], *options)
    assert (code, out) == (1, "")
    assert "nothing is known of other services: no agent answers" in err
    assert "Consul was not read" in err
    code, out, _ = await pillion("explain", "GET", "/x", "--inbound", *known[:2], *options)
    assert (code, "no agent answers" in out) == (0, True)


async def test_without_both_what_an_agent_left_is_taken(known: tuple[str, ...], tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "catalog.json").write_bytes(remembered.encode([], ""))
    options = ("--registry-address", nowhere, "--state-dir", str(tmp_path / "s"), "--admin-listen", nowhere)
    code, out, _ = await pillion("explain", "GET", "http://orders/", *known[:2], *options)
    assert code == 0
    assert "is not in the mesh" in out
    assert "what was known last" in out


async def test_an_older_agent_is_not_believed_to_have_answered(known: tuple[str, ...]) -> None:
    async with running(sources()) as address:
        code, _, err = await pillion("explain", "GET", "http://orders/", "--address", address)
        assert (code, "older agent" in err) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [("GET", "/x"), ("GET",), ("GET", "http://a/", "-H", "nothing"), ("GET", "/", "--gateway", "--inbound")],
)
async def test_bad_usage_ends_with_2(arguments: tuple[str, ...], known: tuple[str, ...]) -> None:
    code, _, err = await pillion("explain", *arguments, *known)
    assert code == 2
    assert "error:" in err


async def test_what_is_no_request_is_refused_by_the_agent() -> None:
    for asked in (b"", b"{}", b'{"method": 1}', b'{"method":"GET","url":"http://a/","side":"up"}'):
        with pytest.raises(Permanent, match="no request"):
            explainer(asked)


async def test_the_terminal_is_safe_from_what_is_asked(known: tuple[str, ...]) -> None:
    code, out, err = await pillion("explain", "GET", "http://orders/", "-H", "X-A: \x1b[31m", *known)
    assert code == 2
    assert "\x1b[31m" not in out + err
