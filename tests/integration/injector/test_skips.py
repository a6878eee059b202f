"""Pods that are left alone are not held up by an API server that does not answer."""

import time
from pathlib import Path

import pytest

from tests.integration.injector.process import POD, review
from tests.integration.injector.test_burst import injecting

ON_THE_NODE = POD | {"spec": POD["spec"] | {"hostNetwork": True}}  # type: ignore[operator]
WITHOUT_A_WISH = "quiet"


@pytest.mark.parametrize("away", ["silent", "broken"])
async def test_a_skip_that_no_namespace_could_change_needs_no_answer_of_the_api_server(
    tmp_path: Path, away: str
) -> None:
    async with injecting(tmp_path) as (cluster, _, open_caller), open_caller() as api:
        cluster.namespace(WITHOUT_A_WISH)
        assert (await api.judged(WITHOUT_A_WISH))["allowed"] is True
        if away == "silent":
            cluster.silent = "/api/v1/namespaces/"
        else:
            cluster.broken["/api/v1/namespaces/"] = 503
        began = time.monotonic()
        assert (await api.ask(review(object=ON_THE_NODE)))["allowed"] is True
        assert time.monotonic() - began < 10  # the webhook's own time
        refused = await api.ask(review(namespace=WITHOUT_A_WISH))
        assert (refused["allowed"], refused["status"]["code"]) == (False, 503)
        assert "patch" in await api.ask()
        cluster.silent = ""
        cluster.broken.clear()
