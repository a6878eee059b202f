"""Registration, repair and departure on real Consul."""

import asyncio
import time
import uuid

import pytest

from agent.demo import backing
from agent.model.registration import ServiceHealth, Verdict
from agent.registry import client
from tests.integration.registry.side import AWAY, HEALTHY, Recorder, Side, View, call, settings_of, sides
from tests.waiting import until


def name() -> str:
    """A service's name that no other test has."""
    return f"s{uuid.uuid4().hex[:12]}"


async def test_a_started_instance_is_registered_and_passing_with_all_that_it_publishes(
    shared_consul: backing.Consul,
) -> None:
    settings = settings_of(
        shared_consul.url,
        name(),
        service={"tags": ["web"], "meta": {"team": "shop"}, "routes": ["/api/{version}/orders"], "zone": "a"},
        versions={"serves": ["v2.1", "v1"], "default": "v1", "deprecated": {"v1": {"sunset": "2027-01-01"}}},
    )
    side = Side(settings)
    async with sides(side):
        await side.start()
        view = View(shared_consul, settings.service.name)
        await until(lambda: view.statuses() == ["passing"])
        (entry,) = view.entries()
        assert entry["Service"]["ID"] == f"{settings.service.name}-host-18080"
        assert (entry["Service"]["Address"], entry["Service"]["Port"]) == ("127.0.0.1", 18080)
        assert entry["Service"]["Tags"] == ["web"]
        meta = entry["Service"]["Meta"]
        assert meta.pop("pillion-hash")
        assert meta == {
            "team": "shop",
            "pillion-versions": "v1,v2.1",
            "pillion-default": "v1",
            "pillion-deprecated": '{"v1":[null,1798761600,""]}',
            "pillion-routes": "/api/{version}/orders",
            "pillion-zone": "a",
        }
        check = next(check for check in entry["Checks"] if check["ServiceName"])
        assert check["Type"] == "ttl"
        assert check["Output"] == "the service and its Envoy are well"


async def test_an_instance_is_critical_until_the_gate_opens(shared_consul: backing.Consul) -> None:
    settings = settings_of(shared_consul.url, name())
    side = Side(settings)
    side.service.set(ServiceHealth())
    async with sides(side):
        await side.start(wait=False)
        view = View(shared_consul, settings.service.name)
        await until(lambda: view.statuses() == ["critical"])
        side.service.set(HEALTHY)
        await until(lambda: view.statuses() == ["passing"])


async def test_failing_health_is_critical_at_once_and_recovery_is_passing_at_once(
    shared_consul: backing.Consul,
) -> None:
    unhurried = {"reconcile_interval": 600.0, "ttl": 600.0}  # else the next update would tell it too
    settings = settings_of(shared_consul.url, name(), registry=unhurried)
    side = Side(settings)
    async with sides(side):
        await side.start()
        view = View(shared_consul, settings.service.name)
        await until(lambda: view.statuses() == ["passing"])
        side.service.set(ServiceHealth(False, "the service answered /health with 500"))
        await until(lambda: view.statuses() == ["critical"])
        output = next(check["Output"] for check in view.entries()[0]["Checks"] if check["ServiceName"])
        assert output == "the service answered /health with 500"
        side.service.set(HEALTHY)
        await until(lambda: view.statuses() == ["passing"])


async def test_an_agent_that_dies_and_restarts_leaves_one_instance_that_never_was_critical(
    shared_consul: backing.Consul,
) -> None:
    settings = settings_of(shared_consul.url, name(), registry={"ttl": 60.0})
    first, second = Side(settings), Side(settings)
    view = View(shared_consul, settings.service.name)
    async with sides(first, second):
        await first.start()
        await until(lambda: view.statuses() == ["passing"])
        created = view.entries()[0]["Service"]["ModifyIndex"]
        async with Recorder(view.statuses) as recorder:
            await first.crash()
            # Until the probe has asked the service, the new agent knows nothing of it.
            second.service.set(ServiceHealth())
            await second.start(wait=False)
            await until(lambda: second.registration.value.registered)
            await asyncio.sleep(0.5)
            second.service.set(HEALTHY)
            await until(
                lambda: second.registration.value.told == Verdict(True, "the service and its Envoy are well")
            )
        assert recorder.seen == [["passing"]]
        (entry,) = view.entries()
        assert entry["Service"]["ModifyIndex"] == created, "the registration was written again"
        assert second.metrics.repairs.labels("new")._value.get() == 0


async def test_an_instance_is_back_and_passing_soon_after_consul_restarted_empty(
    own_consul: backing.Consul,
) -> None:
    settings = settings_of(own_consul.url, name(), registry={"reconcile_interval": 600.0})
    side = Side(settings)
    view = View(own_consul, settings.service.name)
    async with sides(side):
        await side.start()
        await until(lambda: view.statuses() == ["passing"])
        await asyncio.to_thread(own_consul.kill)
        await until(lambda: side.detail("registrar").startswith("degraded"))
        await asyncio.to_thread(own_consul.start)
        async with Recorder(view.statuses) as recorder:
            await until(lambda: view.statuses() == ["passing"])  # long before the next look
        assert ["critical"] not in recorder.seen, "a well instance came back as critical"
        await until(lambda: side.detail("registrar") == "ok: ")


async def test_with_consul_away_the_agent_is_degraded_and_registers_when_it_comes(
    own_consul: backing.Consul,
) -> None:
    await asyncio.to_thread(own_consul.stop)
    settings = settings_of(own_consul.url, name())
    side = Side(settings)
    async with sides(side):
        await side.start(wait=False)
        await until(
            lambda: "degraded" in side.detail("registrar") and own_consul.url in side.detail("registrar")
        )
        assert side.detail("gate").startswith("degraded")
        await asyncio.to_thread(own_consul.start)
        await until(lambda: View(own_consul, settings.service.name).statuses() == ["passing"])
        await until(lambda: side.detail("gate") == "ok: ")


async def test_what_someone_else_deregistered_is_registered_again(shared_consul: backing.Consul) -> None:
    settings = settings_of(shared_consul.url, name())
    side = Side(settings)
    view = View(shared_consul, settings.service.name)
    async with sides(side):
        await side.start()
        await until(lambda: view.statuses() == ["passing"])
        call(
            shared_consul.url,
            f"/v1/agent/service/deregister/{settings.service.name}-host-18080",
            method="PUT",
        )
        await until(lambda: side.metrics.repairs.labels("lost")._value.get() == 1)
        await until(lambda: view.statuses() == ["passing"])


async def test_a_check_that_someone_else_removed_is_repaired_by_the_next_update(
    shared_consul: backing.Consul,
) -> None:
    """The service itself is as it should be: only the 404 of the update tells."""
    settings = settings_of(shared_consul.url, name(), registry={"ttl": 1.5, "reconcile_interval": 600.0})
    side = Side(settings)
    view = View(shared_consul, settings.service.name)
    async with sides(side):
        await side.start()
        await until(lambda: view.statuses() == ["passing"])
        check = f"service:{settings.service.name}-host-18080"
        call(shared_consul.url, f"/v1/agent/check/deregister/{check}", method="PUT")
        await until(lambda: view.statuses() == [])
        await until(lambda: view.statuses() == ["passing"])


@pytest.mark.parametrize(
    "change", [{"Meta": {"pillion-versions": "v9"}}, {"Tags": ["x"]}, {"Port": 1}, {"Address": "10.9.9.9"}]
)
async def test_what_someone_else_changed_is_repaired_without_a_flap(
    shared_consul: backing.Consul, change: dict[str, object]
) -> None:
    settings = settings_of(shared_consul.url, name(), versions={"serves": ["v1"]})
    side = Side(settings)
    view = View(shared_consul, settings.service.name)
    async with sides(side):
        await side.start()
        await until(lambda: view.statuses() == ["passing"])
        before = view.entries()[0]["Service"]
        body = {key: before[key] for key in ("ID", "Tags", "Address", "Meta", "Port")}
        async with Recorder(view.statuses) as recorder:
            call(
                shared_consul.url,
                "/v1/agent/service/register",
                {**body, "Name": before["Service"], **change},
                "PUT",
            )
            await until(lambda: side.metrics.repairs.labels("changed")._value.get() == 1)
            await until(lambda: view.entries()[0]["Service"]["Meta"] == before["Meta"])
        now = view.entries()[0]["Service"]
        assert all(now[key] == before[key] for key in body)
        assert recorder.seen == [["passing"]]


async def test_meta_that_others_add_is_left_alone(shared_consul: backing.Consul) -> None:
    settings = settings_of(shared_consul.url, name(), registry={"reconcile_interval": 1.0})
    side = Side(settings)
    view = View(shared_consul, settings.service.name)
    async with sides(side):
        await side.start()
        await until(lambda: view.statuses() == ["passing"])
        before = view.entries()[0]["Service"]
        body = {key: before[key] for key in ("ID", "Tags", "Address", "Port")}
        meta = {**before["Meta"], "cost-centre": "7"}
        call(
            shared_consul.url,
            "/v1/agent/service/register",
            {**body, "Name": before["Service"], "Meta": meta},
            "PUT",
        )
        await asyncio.sleep(2.5)
        assert view.entries()[0]["Service"]["Meta"] == meta


async def test_changed_settings_are_registered_by_the_next_agent(shared_consul: backing.Consul) -> None:
    """A TTL is told by the hash alone: Consul does not give it back."""
    called = name()
    first, second = (
        Side(settings_of(shared_consul.url, called)),
        Side(settings_of(shared_consul.url, called, registry={"ttl": 20})),
    )
    async with sides(first, second):
        await first.start()
        await first.crash()
        await second.start()
        assert second.metrics.repairs.labels("changed")._value.get() == 1


async def test_the_check_expires_when_nobody_feeds_it_and_stays_passing_while_fed(
    shared_consul: backing.Consul,
) -> None:
    ttl = 8.0  # a busy machine may be late with the feeding by seconds
    settings = settings_of(shared_consul.url, name(), registry={"ttl": ttl, "reconcile_interval": 600.0})
    side = Side(settings)
    view = View(shared_consul, settings.service.name)
    async with sides(side):
        await side.start()
        await until(lambda: view.statuses() == ["passing"])
        async with Recorder(view.statuses) as recorder:
            await asyncio.sleep(1.5 * ttl)
        assert recorder.seen == [["passing"]]
        await side.crash()
        await until(lambda: view.statuses() == ["critical"])


async def test_an_instance_that_leaves_is_critical_first_then_drained_then_gone(
    shared_consul: backing.Consul,
) -> None:
    settings = settings_of(shared_consul.url, name(), registry={"spread": 2.0})
    side = Side(settings)
    view = View(shared_consul, settings.service.name)
    async with sides(side):
        await side.start()
        await until(lambda: view.statuses() == ["passing"])
        async with client.connect(settings.registry) as consul:
            seen: list[list[str]] = []

            async def watch() -> None:
                index = 0
                while not seen or seen[-1]:
                    index, rows = await consul.instances(settings.service.name, index, 10)
                    states = [
                        check["Status"] for row in rows for check in row["Checks"] if check["ServiceName"]
                    ]
                    if not seen or seen[-1] != states:
                        seen.append(states)

            watching = asyncio.create_task(watch())
            try:
                await until(lambda: seen)
                began = time.monotonic()
                await side.leave()
                took = time.monotonic() - began
                await asyncio.wait_for(watching, 30)
            finally:
                watching.cancel()
        assert seen == [["passing"], ["critical"], []]
        assert side.drained == ["the instance is leaving"]
        assert took >= 2.0


async def test_an_agent_that_ends_alone_leaves_the_registration_untouched(
    shared_consul: backing.Consul,
) -> None:
    settings = settings_of(shared_consul.url, name())
    side = Side(settings)
    view = View(shared_consul, settings.service.name)
    async with sides(side):
        await side.start()
        await until(lambda: view.statuses() == ["passing"])
        before = view.entries()
        await side.crash()
        assert view.entries() == before
        assert side.drained == []


async def test_leaving_while_consul_is_away_ends_in_bounded_time(own_consul: backing.Consul) -> None:
    settings = settings_of(own_consul.url, name(), registry={"spread": 2.0})
    side = Side(settings)
    async with sides(side):
        await side.start()
        await asyncio.to_thread(own_consul.kill)
        began = time.monotonic()
        await side.leave()
        assert time.monotonic() - began < AWAY
        assert side.drained == ["the instance is leaving"]


async def test_a_waiting_gate_can_be_cancelled(own_consul: backing.Consul) -> None:
    await asyncio.to_thread(own_consul.stop)
    side = Side(settings_of(own_consul.url, name()))
    async with sides(side):
        await side.start(wait=False)
        await until(lambda: side.detail("gate").startswith("degraded"))
        began = time.monotonic()
        await side.leave()
        assert time.monotonic() - began < AWAY
