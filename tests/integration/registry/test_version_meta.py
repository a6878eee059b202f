"""Versions in the meta of a real Consul: what settings allow, it takes, and a reader gets the same back."""

import urllib.error
import uuid
from typing import Any

import pytest

from agent.config import checks
from agent.demo import backing
from agent.registry import advertise, client, decode, definition
from agent.registry.definition import LONGEST_VALUE
from agent.versions import declared
from tests.integration.registry.side import call, settings_of
from tests.waiting import until

DEPRECATED = {"since": "2026-01-01", "sunset": "2027-01-01", "link": "https://docs.example/" + "v" * 450}
"""What takes all of one value."""
MOST: dict[str, Any] = {
    "service": {
        "meta": {f"{number:03}" + "k" * 125: "x" * 512 for number in range(48)},
        "zone": "z" * 63,
        "routes": ["/" + "r" * 199, "/" + "s" * 199],
    },
    "versions": {
        "serves": [f"v{number}.9999" for number in range(9968, 10_000)],
        "default": "v9999.9999",
        "strip_prefix": True,
        "deprecated": {"v9968.9999": DEPRECATED},
    },
    "kubernetes": {"namespace": "n" * 63, "pod_uid": "u" * 36},
}


async def test_consul_takes_the_most_that_settings_allow_and_gives_it_back(
    shared_consul: backing.Consul,
) -> None:
    """32 versions, 512 characters about deprecated ones, 48 pairs of the operator's own."""
    made = settings_of(shared_consul.url, f"s-{uuid.uuid4().hex[:8]}", **MOST)
    checks.check(made)
    desired = definition.build(made, "host", "127.0.0.1")
    assert len(desired.body["Meta"][advertise.DEPRECATED]) == LONGEST_VALUE
    async with client.connect(made.registry) as consul:
        await consul.register({**desired.body, "Check": {**desired.body["Check"], "Status": "passing"}})

        async def listed() -> list[dict[str, Any]]:
            return (await consul.instances(made.service.name))[1]

        rows = await until(listed)
        found = decode.reading(made.service.name, rows)
        await consul.deregister(desired.instance)
    assert found.skipped == ()
    assert found.passing[0].offer == declared.offer(made.versions)


@pytest.mark.parametrize(
    "meta",
    [{"k": "x" * 513}, {"k" * 129: "x"}, {"k.k": "x"}, {str(number): "x" for number in range(65)}],
)
def test_these_are_consuls_own_limits(shared_consul: backing.Consul, meta: dict[str, str]) -> None:
    """So the checks of the settings are neither too strict nor too lax."""
    body = {"Name": "limits", "ID": f"limits-{uuid.uuid4().hex}", "Port": 1, "Meta": meta}
    with pytest.raises(urllib.error.HTTPError, match="400"):
        call(shared_consul.url, "/v1/agent/service/register", body, "PUT")
