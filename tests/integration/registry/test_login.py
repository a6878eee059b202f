"""Logging in at real Consul: the auth method is ``jwt`` with a key made here, the API that of ``kubernetes``."""

import base64
import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from agent.config.settings import Settings
from agent.registry import client, login
from agent.registry.metrics import Sweeps
from agent.registry.sweep import Sweep
from agent.runtime.errors import Permanent, Transient
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.acl import AclConsul
from tests.integration.registry.side import Side, settings_of, sides
from tests.waiting import until

RULES = """
service_prefix "" { policy = "write" }
node_prefix "pillion-" { policy = "write" }
node_prefix "" { policy = "read" }
agent_prefix "" { policy = "read" }
key_prefix "" { policy = "read" }
"""
"""What an agent needs in either mode."""


class Issuer:
    """Signs tokens as a cluster does for its service accounts."""

    def __init__(self, folder: Path) -> None:
        self._key = folder / "key.pem"
        openssl("genrsa", "-out", str(self._key), "2048")
        self.public = openssl("rsa", "-in", str(self._key), "-pubout").decode()

    def token(self, account: str) -> str:
        now = int(time.time())
        claims = {"iss": "here", "aud": ["consul"], "sub": account, "iat": now, "exp": now + 600}
        head = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
        signature = openssl("dgst", "-sha256", "-sign", str(self._key), given=head.encode())
        return f"{head}.{_encoded(signature)}"


def openssl(*arguments: str, given: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True).stdout


def _part(value: Any) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.fixture(scope="module")
def issuer(server_folder: Path) -> Issuer:
    folder = server_folder / "issuer"
    folder.mkdir()
    return Issuer(folder)


def login_at(server: AclConsul, issuer: Issuer, rules: str) -> None:
    """Have the auth method ``cluster`` give the service account ``orders`` a token with these rules."""
    server.ask("/v1/acl/policy", {"Name": "pillion", "Rules": rules}, "PUT")
    server.ask("/v1/acl/role", {"Name": "pillion", "Policies": [{"Name": "pillion"}]}, "PUT")
    config = {
        "JWTValidationPubKeys": [issuer.public],
        "BoundIssuer": "here",
        "BoundAudiences": ["consul"],
        "ClaimMappings": {"sub": "account"},
    }
    server.ask("/v1/acl/auth-method", {"Name": "cluster", "Type": "jwt", "Config": config}, "PUT")
    rule = {
        "AuthMethod": "cluster",
        "BindType": "role",
        "BindName": "pillion",
        "Selector": 'value.account=="orders"',
    }
    server.ask("/v1/acl/binding-rule", rule, "PUT")


@pytest.fixture(scope="module")
def guarded(server_folder: Path, issuer: Issuer) -> Iterator[AclConsul]:
    server = AclConsul(server_folder / "login-consul")
    try:
        server.start()
        login_at(server, issuer, RULES)
        yield server
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def _given_back(guarded: AclConsul) -> Iterator[None]:
    """An agent that ends alone leaves its token."""
    yield
    for one in logins(guarded):
        guarded.revoke(one["AccessorID"])


class Account:
    """A service account's token in its file."""

    def __init__(self, issuer: Issuer, file: Path, name: str = "orders") -> None:
        self.file = file
        self.secret = issuer.token(name)
        file.write_text(self.secret)


@pytest.fixture
def account(issuer: Issuer, tmp_path: Path) -> Account:
    return Account(issuer, tmp_path / "token")


def settings(consul: AclConsul, account: Account, **registry: Any) -> Settings:
    registry = {"login_method": "cluster", "login_token_file": str(account.file), **registry}
    identity = {"pod_uid": str(uuid.uuid4()), "node": "n1", "cluster": f"c{uuid.uuid4().hex[:8]}"}
    return settings_of(consul.url, f"s{uuid.uuid4().hex[:12]}", registry=registry, kubernetes=identity)


def logins(consul: AclConsul) -> list[Any]:
    """The tokens that logins made and nobody gave back."""
    return [one for one in consul.ask("/v1/acl/tokens") if one.get("AuthMethod") == "cluster"]


@pytest.mark.parametrize("mode", ["agent", "catalog"])
async def test_an_instance_registers_with_a_login_and_gives_the_token_back(
    guarded: AclConsul, account: Account, mode: str
) -> None:
    side = Side(settings(guarded, account, mode=mode))
    name = side.settings.service.name
    async with sides(side):
        await side.start()
        await until(lambda: guarded.status(name) == ["passing"])
        assert len(logins(guarded)) == 1
        await side.leave()
    await until(lambda: guarded.status(name) == [])
    assert logins(guarded) == []


@pytest.mark.parametrize("mode", ["agent", "catalog"])
async def test_it_logs_in_anew_when_the_token_is_gone(
    guarded: AclConsul, account: Account, mode: str
) -> None:
    side = Side(settings(guarded, account, mode=mode, ttl=2.0))
    name = side.settings.service.name
    async with sides(side):
        await side.start()
        await until(lambda: guarded.status(name) == ["passing"])
        (before,) = logins(guarded)
        guarded.revoke(before["AccessorID"])
        await until(
            lambda: [one["AccessorID"] for one in logins(guarded)] not in ([], [before["AccessorID"]])
        )
        await until(lambda: side.detail("registrar") == "ok: ")
        assert len(logins(guarded)) == 1
        await until(lambda: guarded.status(name) == ["passing"])


async def test_an_agent_that_ends_alone_leaves_the_token_that_consul_tells_of_its_instance_with(
    guarded: AclConsul, account: Account
) -> None:
    """Without it Consul's agent could not tell its servers that nobody feeds the check any more."""
    side = Side(settings(guarded, account, mode="agent", ttl=2.0))
    name = side.settings.service.name
    async with sides(side):
        await side.start()
        await until(lambda: guarded.status(name) == ["passing"])
        held = {one["AccessorID"] for one in logins(guarded)}
        await side.crash()
        assert {one["AccessorID"] for one in logins(guarded)} == held
        await until(lambda: guarded.status(name) == ["critical"], within=30)
    # The next one of the same instance takes it over with a login of its own, and gives that back.
    again = Side(side.settings)
    async with sides(again):
        await again.start()
        await until(lambda: guarded.status(name) == ["passing"])
        await again.leave()
    await until(lambda: guarded.status(name) == [])
    assert {one["AccessorID"] for one in logins(guarded)} == held


async def test_one_that_never_registered_gives_its_token_back(guarded: AclConsul, account: Account) -> None:
    registry = settings(guarded, account, mode="agent").registry
    async with client.connect(registry) as consul:
        await consul.services()
        assert len(logins(guarded)) == 1
    assert logins(guarded) == []


async def test_two_clients_share_one_login(guarded: AclConsul, account: Account) -> None:
    registry = settings(guarded, account).registry
    async with (
        login.credentials(registry) as token,
        client.connect(registry, token=token) as one,
        client.connect(registry, token=token) as two,
    ):
        await one.services()
        await two.services()
        assert (token.version, len(logins(guarded))) == (1, 1)
    assert logins(guarded) == []


async def test_an_account_that_no_rule_binds_is_told_what_to_check_and_not_its_token(
    guarded: AclConsul, issuer: Issuer, tmp_path: Path
) -> None:
    stranger = Account(issuer, tmp_path / "token", "stranger")
    async with client.connect(settings(guarded, stranger).registry) as consul:
        with pytest.raises(Permanent, match=r"check registry\.login_method, its binding rules") as raised:
            await consul.services()
    assert stranger.secret not in str(raised.value)


async def test_a_token_that_somebody_else_signed_is_refused_without_being_shown(
    guarded: AclConsul, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    forged = Account(Issuer(tmp_path / "other"), tmp_path / "token")
    async with client.connect(settings(guarded, forged).registry) as consul:
        with pytest.raises(Transient, match=r"signature; check registry\.login_method") as raised:
            await consul.services()
    assert forged.secret not in str(raised.value)


async def test_a_file_that_is_not_there_yet_is_waited_for(guarded: AclConsul, account: Account) -> None:
    account.file.unlink()
    async with client.connect(settings(guarded, account).registry) as consul:
        with pytest.raises(Transient, match=r"registry\.login_token_file names"):
            await consul.services()
        account.file.write_text(account.secret)

        async def listed() -> bool:
            try:
                await consul.services()
            except Transient:
                return False
            return True

        await until(listed)


async def test_the_sweep_needs_no_more_than_an_agents_rights(guarded: AclConsul, account: Account) -> None:
    made = settings(guarded, account, mode="catalog")
    side = Side(made)
    async with sides(side):
        await side.start()
        await until(lambda: guarded.status(made.service.name) == ["passing"])
        await side.crash()
        assert guarded.status(made.service.name) == ["passing"]

        class Nobody:
            async def living(self) -> frozenset[str]:
                return frozenset({"me"})

        async with client.connect(made.registry) as consul:
            health, cluster = Board(lambda: 0.0).of("sweep"), made.kubernetes.cluster
            sweep = Sweep(
                consul,
                Nobody(),
                Latest(True),
                cluster=cluster,
                own="me",
                health=health,
                metrics=Sweeps(CollectorRegistry()),
            )
            for _ in range(4):
                await sweep.turn()
        assert guarded.status(made.service.name) == []
        nodes = guarded.ask("/v1/catalog/nodes")
        assert not [one for one in nodes if one["Node"].startswith(f"pillion-{cluster}")]
