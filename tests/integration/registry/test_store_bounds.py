"""What KV may do to an agent: rights that come and go, folders that are too large, live settings that are wrong."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.demo import backing
from agent.registry import kv
from agent.registry.transport import TOO_LARGE
from tests.acl import RULES, AclConsul
from tests.integration.registry.test_store import Seen, agent, drop, put, settings_of, unique
from tests.waiting import until

NARROW = """
key_prefix "config/_shared/" { policy = "read" }
key "pillion/orders" { policy = "read" }
"""
REFUSED = re.compile("/v1/kv/config/orders.*ACL not found")


@pytest.fixture
async def acl_consul(tmp_path: Path) -> AsyncIterator[AclConsul]:
    consul = AclConsul(tmp_path / "consul")
    try:
        await asyncio.to_thread(consul.start)
        consul.prepare()
        yield consul
    finally:
        await asyncio.to_thread(consul.stop)


def write(consul: AclConsul, key: str, text: str) -> None:
    """A value, by the operator."""
    consul.ask(f"/v1/kv/{key}", text, "PUT")


def rights(consul: AclConsul, rules: str) -> None:
    """What all tokens may from now on."""
    policy = consul.ask("/v1/acl/policy/name/pillion")["ID"]
    consul.ask(f"/v1/acl/policy/{policy}", {"Name": "pillion", "Rules": rules}, "PUT")


async def kept(seen: Seen, consul: AclConsul) -> None:
    """After a refusal the last value stays, and what is written then is not had.

    The last one is 1 or 2, which was written when the right was gone: Consul judges a question when it is asked, so the
    one that waited then is still answered.
    """
    last = seen.values()
    assert last in ({"limit": b'"1"'}, {"limit": b'"2"'})
    failures = seen.metrics.failures.labels("configuration")._value
    before = failures.get()
    write(consul, "config/orders/limit", "3")
    await until(lambda: failures.get() > before + 2)
    assert seen.values() == last


async def test_a_right_that_is_taken_away_does_not_look_like_keys_that_were_deleted(
    acl_consul: AclConsul, tmp_path: Path
) -> None:
    """Consul answers 404 to a list of which the token may see nothing."""
    token = tmp_path / "token"
    token.write_text(acl_consul.grant()[1])
    write(acl_consul, "config/orders/limit", "1")
    async with agent(acl_consul, "orders", str(token)) as seen:
        await seen.configuration()
        assert list(seen.values()) == ["limit"]
        rights(acl_consul, NARROW)
        write(acl_consul, "config/orders/limit", "2")
        await until(lambda: "give it key_prefix read on all of it" in seen.word("configuration"), within=90)
        await kept(seen, acl_consul)
        rights(acl_consul, RULES)
        await until(lambda: seen.values() == {"limit": b'"3"'})
        await until(lambda: seen.word("configuration") == "ok: ")


async def test_a_token_that_is_revoked_and_replaced_in_its_file_costs_no_value(
    acl_consul: AclConsul, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    accessor, secret = acl_consul.grant()
    token.write_text(secret)
    write(acl_consul, "config/orders/limit", "1")
    write(acl_consul, "pillion/orders", "x")
    acl_consul.ask("/v1/kv/pillion/orders", {"traffic": {"retries": 7}}, "PUT")
    async with agent(acl_consul, "orders", str(token)) as seen:
        await seen.configuration()
        await seen.overrides()
        await until(lambda: seen.settings.value.traffic.retries == 7)
        acl_consul.revoke(accessor)
        write(acl_consul, "config/orders/limit", "2")
        await until(lambda: REFUSED.search(seen.word("configuration")), within=90)
        await kept(seen, acl_consul)
        assert seen.settings.value.traffic.retries == 7
        token.write_text(acl_consul.grant()[1])
        await until(lambda: seen.values() == {"limit": b'"3"'})
        await until(lambda: (seen.word("configuration"), seen.word("overrides")) == ("ok: ", "ok: "))


async def test_a_folder_of_many_keys_is_not_taken_and_does_not_cost_the_last_values(
    own_consul: backing.Consul,
) -> None:
    put(own_consul, "config/orders/limit", b"1")
    async with agent(own_consul, "orders") as seen:
        await seen.configuration()
        for number in range(9):
            put(own_consul, f"config/_shared/{number}", b"x" * 500_000)
        await until(lambda: "config/_shared/ has " in seen.word("configuration"))
        assert f"more than {kv.LARGEST}" in seen.word("configuration")
        assert seen.values()["limit"] == b"1"
        put(own_consul, "config/orders/limit", b"2")
        await until(lambda: seen.values()["limit"] == b"2")
        drop(own_consul, "config/_shared")
        await until(lambda: seen.word("configuration") == "ok: ")


async def test_a_folder_too_large_to_be_read_is_asked_for_rarely(own_consul: backing.Consul) -> None:
    put(own_consul, "config/orders/limit", b"1")
    async with agent(own_consul, "orders") as seen:
        await seen.configuration()
        for number in range(16):
            put(own_consul, f"config/_shared/{number}", b"x" * 500_000)
        await until(lambda: "brought more than" in seen.word("configuration"))
        failures = seen.metrics.failures.labels("configuration")._value
        before = failures.get()
        await asyncio.sleep(TOO_LARGE - 5)
        assert failures.get() - before <= 1
        assert seen.values()["limit"] == b"1"


BAD = [
    (b"traffic: {retries: 3, timeout: never}", "traffic.timeout is 'never'"),
    (b"traffic: {retries: 3}\nservice: {port: 1}", "service.port can't be changed without a restart"),
    (b"traffic: {retries: 3}\nregistry: {token: hunter2}", "registry.token can't be changed"),
    (b"traffic: {retries: 3}\nstore: {exec: [/bin/sh]}", "store.exec can't be changed"),
    (b"traffic: {retries: 3}\nstore: {secret_dirs: [/]}", "store.secret_dirs can't be changed"),
    (b"traffic: {retries: 3, retires: 4}", "did you mean retries?"),
    (b"traffic: {retries: 3}\ntraffic: {retries: 4}", "has a key twice"),
    (b"a: &a [*a]", "alias"),
    (b"traffic: {retries: 3}\nx: " + b"[" * 50, "nested deeper"),
    (b"\xff\xfe", "is not UTF-8"),
    (b"[]", "is not a mapping"),
    (b"x" * 300_000, "is longer than 256 KiB"),
]


@pytest.mark.parametrize(("document", "said"), BAD)
async def test_a_live_override_with_one_fault_is_refused_as_a_whole(
    shared_consul: backing.Consul, document: bytes, said: str
) -> None:
    service = unique()
    async with agent(shared_consul, service) as seen:
        await seen.overrides()
        put(shared_consul, f"pillion/{service}", b"traffic: {retries: 7}")
        await until(lambda: seen.settings.value.traffic.retries == 7)
        good = seen.settings.value
        put(shared_consul, f"pillion/{service}", document)
        await until(lambda: said in seen.word("overrides"))
        assert seen.settings.value == good
        assert "hunter2" not in seen.word("overrides")
        assert seen.metrics.overrides.labels("refused")._value.get() == 1
        put(shared_consul, f"pillion/{service}", b"traffic: {retries: 5}")
        await until(lambda: seen.settings.value.traffic.retries == 5)
        await until(lambda: seen.word("overrides") == "ok: ")
        drop(shared_consul, f"pillion/{service}")
        await until(lambda: seen.settings.value == settings_of(service))


async def test_a_start_without_consul_takes_the_override_on_disk(
    own_consul: backing.Consul, tmp_path: Path
) -> None:
    file = tmp_path / "overrides.yaml"
    put(own_consul, "pillion/orders", b"traffic: {retries: 7}")
    async with agent(own_consul, "orders") as seen:
        await seen.overrides(file)
        await until(file.exists)
    await asyncio.to_thread(own_consul.kill)
    async with agent(own_consul, "orders") as seen:
        await seen.overrides(file)
        assert seen.settings.value.traffic.retries == 7
        await until(lambda: "the last known override is in use" in seen.word("overrides"))
        await asyncio.to_thread(own_consul.start)
        await until(lambda: "Consul lost the override" in seen.word("overrides"))
        assert seen.settings.value.traffic.retries == 7
