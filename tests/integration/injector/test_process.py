"""The webhook from its start to its end, as an API server and a kubelet see it."""

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.inject.certificates import making
from agent.inject.certificates.making import Pair
from agent.metrics.declare import Where
from agent.metrics.families import injector as declared
from tests.integration.injector.cluster import MWC, ApiServer
from tests.integration.injector.process import POD, Caller, Injector, review, trusting
from tests.integration.metrics.scrapes import expected, otherwise, ours, parsed
from tests.unit.inject.keys import rsa_pair
from tests.waiting import until

CONFIGURATION = f"/apis/admissionregistration.k8s.io/v1/{MWC}/pillion-injector"
SECRET = "/api/v1/namespaces/pillion/secrets/pillion-injector-ca"
SERVICE = {"service": {"name": "pillion-injector", "namespace": "pillion", "path": "/mutate"}}
NAME = "pillion-injector.pillion.svc"


def configuration() -> dict[str, Any]:
    """The webhook configuration as a chart makes it: without a CA."""
    return {
        "metadata": {"name": "pillion-injector"},
        "webhooks": [{"name": "pods.injector.pillion.dev", "clientConfig": dict(SERVICE)}],
    }


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with ApiServer(tmp_path / "cluster").running() as server:
        server.put(CONFIGURATION, configuration())
        server.namespace("shop", pillion_dev__inject="enabled")
        yield server


@pytest.fixture
async def injector(tmp_path: Path, cluster: ApiServer) -> AsyncIterator[Injector]:
    made = Injector(tmp_path / "one", cluster.environ, cluster.account)
    yield made
    made.kill()


def bundle(cluster: ApiServer) -> str:
    found: str = cluster.objects[CONFIGURATION]["webhooks"][0]["clientConfig"].get("caBundle", "")
    return found


def caller(injector: Injector, cluster: ApiServer) -> Caller:
    return Caller(injector, trusting(bundle(cluster)), NAME)


async def test_its_metrics_are_those_of_the_list(cluster: ApiServer, tmp_path: Path) -> None:
    """With those of the sweep, which comes with the catalog mode."""
    injector = Injector(
        tmp_path / "one", cluster.environ, cluster.account, {"injector": {"registry_mode": "catalog"}}
    )
    injector.start()
    try:
        await injector.ready()
        _, text = await injector.get("/metrics", injector.metrics)
        assert ours(text) == expected({Where.INJECTOR})
        assert otherwise(text, declared.ALL) == []
        assert all(metric.late or parsed(text).get(metric.series[0]) for metric in declared.ALL)
    finally:
        injector.kill()


async def test_a_pod_is_injected_by_an_injector_that_made_its_own_certificate(
    injector: Injector, cluster: ApiServer
) -> None:
    injector.start()
    await injector.ready()
    async with caller(injector, cluster) as api:
        response = await api.ask()
        assert response["allowed"] is True
        patch = json.loads(base64.b64decode(response["patch"]))
        assert any("pillion" in json.dumps(operation) for operation in patch)
        assert await api.ask(review(dryRun=True)) | {"uid": ""} == response | {"uid": ""}
    assert await injector.sample("pillion_injector_reviews_total", result="injected") == 2
    assert await injector.sample("pillion_injector_ready") == 1
    assert await injector.sample("pillion_injector_certificate_expiry_seconds") > 0
    assert (await injector.get("/healthz"))[0] == 200
    assert await injector.stop() == 0


async def test_wrong_requests_get_a_sentence_and_harm_nobody(injector: Injector, cluster: ApiServer) -> None:
    injector.start()
    await injector.ready()
    async with caller(injector, cluster) as api:
        assert await api.raw(b"{}", "text/plain") == (415, "the content type is not application/json\n")
        assert (await api.raw(b"{"))[0] == 400
        huge = json.dumps(review(object={"x": "a" * (3 << 20)})).encode()
        status, text = await api.raw(huge)
        assert (status, text) == (413, "the body has more than 3145728 bytes\n")
        large = review(object=POD | {"metadata": {"annotations": {"x": "a" * (2 << 20)}}})
        assert (await api.ask(large))["allowed"] in {True, False}
        async with api.session.get(f"https://127.0.0.1:{injector.port}/mutate", ssl=False) as answer:
            assert answer.status == 405
        async with api.session.get(f"https://127.0.0.1:{injector.port}/", ssl=False) as answer:
            assert answer.status == 404
        assert (await api.ask())["allowed"] is True
    assert await injector.sample("pillion_injector_reviews_total", result="malformed") == 3
    with pytest.raises(aiohttp.ClientError):
        async with aiohttp.ClientSession() as http:
            await http.get(f"http://127.0.0.1:{injector.port}/mutate")


async def test_many_reviews_at_once_are_each_answered_by_their_uid(
    injector: Injector, cluster: ApiServer
) -> None:
    injector.start()
    await injector.ready()
    async with caller(injector, cluster) as api:
        answers = await asyncio.gather(*(api.ask() for _ in range(200)))
    assert all(answer["allowed"] for answer in answers)


async def test_an_older_cluster_is_refused_at_the_start(injector: Injector, cluster: ApiServer) -> None:
    cluster.version = "v1.28.9"
    injector.start()
    assert await injector.ended() == 1
    assert "runs Kubernetes v1.28.9, but the injector needs 1.29 or later" in injector.said()
    assert "Traceback" not in injector.said()


async def test_it_waits_for_an_api_server_that_is_away_and_says_so(
    injector: Injector, cluster: ApiServer
) -> None:
    cluster.broken["/version"] = 503
    injector.start()
    await injector.unready("/version")
    cluster.broken.clear()
    await injector.ready()


async def test_two_replicas_share_a_ca(injector: Injector, cluster: ApiServer, tmp_path: Path) -> None:
    other = Injector(tmp_path / "two", cluster.environ, cluster.account)
    injector.start()
    other.start()
    try:
        await injector.ready()
        await other.ready()
        for one in (injector, other):
            async with caller(one, cluster) as api:
                assert (await api.ask())["allowed"] is True
        await asyncio.sleep(2)  # two that want different things would write four times a second
        # Each may write once more, where the watch did not tell it in time of what was written.
        assert len([call for call in cluster.calls if call[0] in {"PUT", "PATCH"}]) <= 4
    finally:
        other.kill()


@pytest.mark.parametrize(
    "edited", ["", base64.b64encode(making.authority(datetime.now(UTC), timedelta(1)).certificate).decode()]
)
async def test_a_ca_that_somebody_takes_out_is_back_at_once(
    injector: Injector, cluster: ApiServer, edited: str
) -> None:
    injector.start()
    await injector.ready()
    right = bundle(cluster)
    other = configuration()
    other["webhooks"][0]["clientConfig"]["caBundle"] = edited
    cluster.put(CONFIGURATION, other)
    await until(lambda: bundle(cluster) == right, within=20)  # a look without a change comes after 30 s


async def test_a_configuration_that_is_made_anew_gets_the_ca(injector: Injector, cluster: ApiServer) -> None:
    injector.start()
    await injector.ready()
    right = bundle(cluster)
    cluster.drop(CONFIGURATION)
    await injector.unready("no MutatingWebhookConfiguration")
    cluster.put(CONFIGURATION, configuration())
    await injector.ready()
    assert bundle(cluster) == right


async def test_a_watch_that_breaks_or_is_too_old_is_begun_anew(
    injector: Injector, cluster: ApiServer
) -> None:
    injector.start()
    await injector.ready()
    async with caller(injector, cluster) as api:
        await until(lambda: cluster.watched("/api/v1/namespaces"), within=30)
        for name in ("broken", "gone"):
            cluster.gone = name == "gone"
            cluster.cut_watches()
            await until(lambda: not cluster.gone, within=30)
            cluster.namespace(name, pillion_dev__inject="enabled")
            assert "patch" in await api.judged(name)
    failures = "pillion_injector_cluster_failures_total"
    await until(lambda: injector.sample(failures, subject="namespaces"), within=30)


async def test_a_namespace_counts_from_the_moment_it_is_there(injector: Injector, cluster: ApiServer) -> None:
    injector.start()
    await injector.ready()
    async with caller(injector, cluster) as api:
        for n in range(20):
            cluster.namespace(f"n{n}", pillion_dev__inject="enabled")
            assert "patch" in await api.judged(f"n{n}")
            cluster.namespace(f"n{n}", other="label")
            cluster.namespace(f"n{n}", pillion_dev__inject="enabled")
            assert "patch" in await api.judged(f"n{n}")


async def test_with_the_api_server_away_known_namespaces_go_on_and_others_wait(
    injector: Injector, cluster: ApiServer
) -> None:
    injector.start()
    await injector.ready()
    async with caller(injector, cluster) as api:
        cluster.broken["/"] = 503
        cluster.cut_watches()
        assert "patch" in await api.ask()
        response = await api.ask(review(namespace="other"))
        assert (response["allowed"], response["status"]["code"]) == (False, 503)
        assert (await injector.readiness())[0] == 200
        cluster.broken.clear()


async def test_a_token_that_is_replaced_is_used(injector: Injector, cluster: ApiServer) -> None:
    injector.start()
    await injector.ready()
    cluster.token = "another"
    beside = cluster.account / "new"
    beside.write_text("another")
    beside.rename(cluster.account / "token")
    cluster.cut_watches()
    cluster.namespace("fresh", pillion_dev__inject="enabled")
    async with caller(injector, cluster) as api:

        async def answered() -> bool:
            return "patch" in await api.ask(review(namespace="fresh"))

        await until(answered, within=30)


async def test_a_ca_and_certificates_are_rotated_while_reviews_go_on(
    injector: Injector, cluster: ApiServer
) -> None:
    """Lives of a minute; a caller with new connections, which trusts what the configuration says at that moment."""
    injector.settings["webhook"] |= {"ca_life": "60s", "certificate_life": "30s"}
    injector.start()
    await injector.ready()
    seen, bundles = set[bytes](), set[str]()
    loop = asyncio.get_running_loop()
    ends, asked = loop.time() + 45, 0
    async with caller(injector, cluster) as kept:
        while loop.time() < ends:
            async with caller(injector, cluster) as api:
                assert (await api.ask())["allowed"] is True
            assert (await kept.ask())["allowed"] is True
            bundles.add(bundle(cluster))
            seen.add(await asyncio.to_thread(_presented, injector))
            asked += 1
            await asyncio.sleep(0.1)
    current = {base64.b64decode(one).count(b"BEGIN") for one in bundles}
    assert current == {1, 2}
    assert len(seen) >= 3
    assert "certificates.authorities_written" in injector.said()


def _presented(injector: Injector) -> bytes:
    return ssl.get_server_certificate(("127.0.0.1", injector.port)).encode()


async def test_a_stop_loses_no_review(injector: Injector, cluster: ApiServer) -> None:
    """Callers go on until they hear that it leaves: by readiness, as endpoints do."""
    injector.settings["webhook"] |= {"spread": "8s"}  # however late this process gets its turn to let them go
    injector.start()
    await injector.ready()
    answered, left = 0, asyncio.Event()

    async def asking(api: Caller) -> None:
        nonlocal answered
        while not left.is_set():
            assert (await api.ask())["allowed"] is True
            answered += 1

    async with contextlib.AsyncExitStack() as stack:
        apis = [await stack.enter_async_context(caller(injector, cluster)) for _ in range(4)]
        tasks = [asyncio.create_task(asking(api)) for api in apis]
        await until(lambda: answered > 50, within=30)
        stopping = asyncio.create_task(injector.stop())
        await injector.unready("the injector is leaving\n")
        before = answered
        await asyncio.sleep(0.5)  # what an API server takes to hear of it
        left.set()
        await asyncio.gather(*tasks)
        assert answered > before
        assert await stopping == 0
    assert "Traceback" not in injector.said()


async def test_leaving_ends_each_connection_after_its_answer(injector: Injector, cluster: ApiServer) -> None:
    injector.settings["webhook"] |= {"spread": "8s"}
    injector.start()
    await injector.ready()
    async with caller(injector, cluster) as api:
        await api.ask()
        stopping = asyncio.create_task(injector.stop())

        async def closing() -> bool:
            body = json.dumps(review()).encode()
            async with api.session.post(
                api._url, data=body, headers={"Content-Type": "application/json"}, ssl=api._context,
                server_hostname=NAME,
            ) as answer:  # fmt: skip
                assert answer.status == 200
                return answer.headers.get("Connection") == "close"

        await until(closing, within=7)
        assert await stopping == 0


class Mounted:
    """A mounted Secret as cert-manager writes it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.ca = making.authority(datetime.now(UTC), timedelta(days=90))
        self._generation = 0

    def put(self, pair: Pair) -> None:
        self._generation += 1
        fresh = self.folder / f"..{self._generation}"
        fresh.mkdir()
        (fresh / "tls.crt").write_bytes(pair.certificate)
        (fresh / "tls.key").write_bytes(pair.key)
        (self.folder / "..new").symlink_to(fresh.name)
        (self.folder / "..new").rename(self.folder / "..data")

    def pair(self, life: timedelta = timedelta(days=1)) -> Pair:
        return making.serving(self.ca, [NAME], datetime.now(UTC), life)


async def test_certificates_from_files_are_exchanged_without_a_restart(
    injector: Injector, cluster: ApiServer, tmp_path: Path
) -> None:
    mounted = Mounted(tmp_path / "mounted")
    for name in ("tls.crt", "tls.key"):
        (mounted.folder / name).symlink_to(Path("..data") / name)
    injector.settings["webhook"] |= {
        "certificate": "files",
        "cert_file": str(mounted.folder / "tls.crt"),
        "key_file": str(mounted.folder / "tls.key"),
    }
    injector.start()
    await injector.unready("tls.crt")
    mounted.put(mounted.pair())
    await injector.ready()
    first = await asyncio.to_thread(_presented, injector)
    async with Caller(injector, trusting(mounted.ca.certificate), NAME) as kept:
        assert (await kept.ask())["allowed"] is True
        mounted.put(mounted.pair())
        await until(lambda: _changed(injector, first), within=30)
        assert (await kept.ask())["allowed"] is True
    async with Caller(injector, trusting(mounted.ca.certificate), NAME) as fresh:
        assert (await fresh.ask())["allowed"] is True
    # Another kind of key as well, though OpenSSL would keep both.
    other = rsa_pair(datetime.now(UTC))
    mounted.put(other)
    await until(lambda: _presents(injector, other.certificate), within=30)
    assert not [path for _, path in cluster.calls if "secrets" in path or MWC in path]


async def _presents(injector: Injector, certificate: bytes) -> bool:
    return await asyncio.to_thread(_presented, injector) == certificate


async def _changed(injector: Injector, before: bytes) -> bool:
    return await asyncio.to_thread(_presented, injector) != before


async def test_a_certificate_that_ends_makes_the_injector_unready(injector: Injector, tmp_path: Path) -> None:
    mounted = Mounted(tmp_path / "mounted")
    for name in ("tls.crt", "tls.key"):
        (mounted.folder / name).symlink_to(Path("..data") / name)
    injector.settings["webhook"] |= {
        "certificate": "files",
        "cert_file": str(mounted.folder / "tls.crt"),
        "key_file": str(mounted.folder / "tls.key"),
    }
    injector.start()
    await injector.unready("tls.crt")  # a start may take longer than such a certificate lives
    mounted.put(mounted.pair(timedelta(seconds=12)))
    await injector.ready(within=10)
    await injector.unready("the certificate is valid from")
    assert await injector.sample("pillion_injector_ready") == 0


async def test_what_the_webhook_wants_to_listen_at_must_be_free(
    injector: Injector, cluster: ApiServer
) -> None:
    injector.settings["webhook"] |= {"listen": f"127.0.0.1:{cluster.port}"}
    injector.start()
    assert await injector.ended() == 1
    assert f"listening on 127.0.0.1:{cluster.port} (webhook.listen) failed" in injector.said()


async def test_a_key_is_in_no_log_and_in_no_file(injector: Injector, cluster: ApiServer) -> None:
    injector.start()
    await injector.ready()
    await injector.stop()
    texts = [injector.said(), *(file.read_text() for file in injector.folder.iterdir() if file.is_file())]
    assert not [text for text in texts if "PRIVATE KEY" in text or cluster.token in text]
    assert SECRET in cluster.objects
