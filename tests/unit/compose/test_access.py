"""The secrets of the Compose system: made once, one volume per consumer, replaceable when a rotation is cut short."""

import asyncio
import base64
import json
import os
import stat
from pathlib import Path

import asyncpg
import pytest
import yaml
from access import consumers, passwords
from access.values import UnknownError, Values

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "compose/docker-compose-enhanced.yml").read_text())


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders as the volumes are mounted; files can be given away by root only, so that is only noted."""
    for name in ("operator", *consumers.CONSUMERS):
        (tmp_path / name).mkdir()
    given: dict[str, tuple[int, int]] = {}
    monkeypatch.setattr(os, "chown", lambda path, user, group: given.__setitem__(str(path), (user, group)))
    return tmp_path


@pytest.fixture
def values(root: Path) -> Values:
    made = Values(root / "operator", consumers.VALUES)
    made.complete()
    return made


def test_a_second_start_keeps_every_secret_and_rewrites_no_file(root: Path, values: Values) -> None:
    first = {name: values.read(name) for name in consumers.VALUES}
    assert consumers.write(root, values) > len(consumers.CONSUMERS)
    values.complete()
    assert {name: values.read(name) for name in consumers.VALUES} == first
    assert consumers.write(root, values) == 0


def test_no_two_secrets_are_the_same_and_none_needs_escaping(values: Values) -> None:
    found = [values.read(name) for name in consumers.VALUES]
    assert len(set(found)) == len(found)
    assert all(len(value) >= 32 and value.replace("-", "").isalnum() for value in found)


def test_every_file_is_readable_by_its_owner_alone(root: Path, values: Values) -> None:
    consumers.write(root, values)
    files = [path for path in root.rglob("*") if path.is_file()]
    assert files
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert all(stat.S_IMODE((root / name).stat().st_mode) == 0o700 for name in consumers.CONSUMERS)


def test_a_consumer_gets_its_own_secrets_only(root: Path, values: Values) -> None:
    consumers.write(root, values)
    text = (root / "orders-v1-agent/consul-token").read_text()
    assert text.strip() == values.read("consul-orders-v1")
    holders = [
        path.parent.name
        for path in root.rglob("*")
        if path.is_file() and values.read("consul-management") in path.read_text()
    ]
    assert sorted(holders) == ["consul", "operator"]


def test_a_rotation_that_was_cut_short_goes_on_with_the_same_value(root: Path, values: Values) -> None:
    former, successor = values.read("postgres-orders"), values.next("postgres-orders")
    again = Values(root / "operator", consumers.VALUES)
    assert again.next("postgres-orders") == successor != former
    assert again.read("postgres-orders") == former
    again.adopt("postgres-orders")
    consumers.write(root, again)
    assert successor in (root / "orders-v1/pgpass").read_text()
    assert again.next("postgres-orders") != successor


def test_a_name_cannot_lead_out_of_the_folder(values: Values) -> None:
    with pytest.raises(UnknownError, match="there is no secret"):
        values.read("../consul/acl.json")


def test_the_verifier_is_the_one_of_the_standard() -> None:
    """The example of RFC 7677, section 3: its keys follow from password, salt and rounds."""
    made = passwords.verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    assert made == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_what_the_broker_reads_is_valid_and_gives_the_relay_no_more_than_its_stream(values: Values) -> None:
    text = consumers.CONSUMERS["nats"].files["users.conf"](values.read)
    users = json.loads(text.removeprefix("authorization { users: ").removesuffix(" }"))
    orders = next(user for user in users if user["user"] == "orders")
    assert all(
        "orders" in subject or subject == "$JS.API.INFO" for subject in orders["permissions"]["publish"]
    )


@pytest.mark.parametrize("name", consumers.CONSUMERS)
def test_each_volume_of_secrets_is_mounted_by_its_consumer_alone(name: str) -> None:
    holders = {
        service
        for service, content in COMPOSE["services"].items()
        for mount in content.get("volumes", [])
        if mount.split(":")[0] == f"secrets-{name}"
    }
    assert holders == {"secrets", name}


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_a_consumer_runs_as_the_owner_of_its_secrets_and_cannot_write_them(service: str) -> None:
    if service == "secrets":
        return
    content = COMPOSE["services"][service]
    for mount in content.get("volumes", []):
        volume, _, mode = mount.partition(":")[0], *mount.rpartition(":")[1:]
        if volume.startswith("secrets-"):
            assert mode == "ro"
        if volume.removeprefix("secrets-") in consumers.CONSUMERS and volume.startswith("secrets-"):
            user, group = consumers.CONSUMERS[volume.removeprefix("secrets-")].owner
            assert content["user"] == f"{user}:{group}"


def test_every_volume_that_is_handed_over_is_one_of_the_system() -> None:
    mounted = {mount.split(":")[0] for mount in COMPOSE["services"]["secrets"]["volumes"]}
    assert {f"secrets-{name}" for name in consumers.CONSUMERS} | set(consumers.DATA) | set(
        consumers.SHARED
    ) <= mounted
    assert mounted - {"./access"} <= set(COMPOSE["volumes"])


def test_a_variant_hands_its_secrets_to_their_consumer_alone_and_its_volume_of_data_to_its_server() -> None:
    variant = yaml.safe_load((ROOT / "compose/docker-compose-kafka.yml").read_text())
    mounted = {
        service: {mount.split(":")[0]: mount for mount in content.get("volumes", [])}
        for service, content in variant["services"].items()
    }
    holders = {"kafka": "kafka", "orders-v2-kafka": "orders-v2-agent"}
    assert holders.keys() == consumers.VARIANTS.keys()
    for name, service in holders.items():
        volume = f"secrets-{name}"
        assert {each for each, volumes in mounted.items() if volume in volumes} == {"secrets", service}
        assert mounted[service][volume].endswith(":ro")
        assert mounted["secrets"][volume] == f"{volume}:/secrets/{name}"
    user = ":".join(map(str, consumers.KAFKA))
    assert variant["services"]["kafka"]["user"] == user
    assert set(consumers.VARIANT_DATA) <= set(variant["volumes"])


def test_a_variant_that_is_not_there_gets_no_secrets(root: Path, values: Values) -> None:
    consumers.write(root, values)
    assert not (root / "kafka").exists()
    (root / "kafka").mkdir()
    consumers.write(root, values)
    text = (root / "kafka/jaas.conf").read_text()
    assert values.read("kafka-orders") in text
    assert text.startswith("KafkaServer { ")
    assert text.endswith("; };\n")


def test_volumes_of_data_are_for_their_user_alone_again_after_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.chown", lambda *_: None)
    for name in (*consumers.DATA, *consumers.SHARED):
        (tmp_path / name).mkdir(mode=0o755)
    consumers.own(tmp_path)
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert modes == {**dict.fromkeys(consumers.DATA, 0o700), **dict.fromkeys(consumers.SHARED, 0o755)}


def test_a_password_that_was_changed_already_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        closed = False

        async def close(self) -> None:
            Session.closed = True

    async def connect(*, password: str, **_: object) -> Session:
        if password != "new":
            raise asyncpg.InvalidPasswordError("no")
        return Session()

    monkeypatch.setattr(asyncpg, "connect", connect)
    asyncio.run(passwords._change("orders", "old", "new"))
    assert Session.closed
    with pytest.raises(passwords.RefusedError, match=r"roles\.sh"):
        asyncio.run(passwords._change("orders", "old", "neither"))
