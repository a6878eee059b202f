"""Years of a CA's and certificates' lives, with a clock of their own."""

import asyncio
import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from prometheus_client import CollectorRegistry

from agent.inject.certificates import authorities, bundle, making
from agent.inject.certificates.authorities import Authorities, due, settled
from agent.inject.certificates.files import Files
from agent.inject.certificates.made import Lives, Made, Names
from agent.inject.certificates.making import Pair
from agent.inject.certificates.state import State
from agent.inject.certificates.tls import Tls
from agent.inject.cluster.kinds import CONFIGURATIONS, SECRETS
from agent.inject.metrics import Metrics
from agent.runtime.errors import Transient
from agent.runtime.health import Board
from agent.runtime.latest import Latest
from tests.unit.inject.keys import rsa_pair
from tests.unit.inject.objects import Objects
from tests.unit.runtime import virtual

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
YEAR, DAY = timedelta(days=365), timedelta(days=1)
NAMES = Names("pillion-injector-ca", "pillion", "pillion-injector")


def configuration(bundle: str | None = None, **place: Any) -> dict[str, Any]:
    """Our webhook configuration, as the chart makes it."""
    client = place or {"service": {"name": "pillion-injector", "namespace": "pillion", "path": "/mutate"}}
    if bundle is not None:
        client = {**client, "caBundle": bundle}
    webhooks = [
        {"name": f"{n}.injector.pillion.dev", "clientConfig": dict(client)} for n in ("pods", "namespaces")
    ]
    return {"metadata": {"name": "pillion-injector"}, "webhooks": webhooks}


class Replica:
    """One replica's certificates; they all share the cluster and the clock."""

    def __init__(self, world: "World", life: timedelta) -> None:
        self.tls = Tls()
        self.state = Latest(State())
        self.registry = CollectorRegistry()
        self.board = Board(lambda: 0.0)
        self.made = Made(
            world.objects, NAMES, Lives(YEAR, life),
            secrets=world.objects.cell(SECRETS), configurations=world.objects.cell(CONFIGURATIONS),
            tls=self.tls, state=self.state, health=self.board.of("certificates"),
            metrics=Metrics(self.registry), now=lambda: world.now,
        )  # fmt: skip

    async def turn(self) -> None:
        await self.made.turn()

    @property
    def certificate(self) -> bytes:
        assert self.made._serving is not None
        return self.made._serving.pair.certificate


class World:
    """A cluster with our webhook configuration, a clock, and two replicas."""

    def __init__(self, life: timedelta = DAY) -> None:
        """``life`` is that of a serving certificate."""
        self.now = NOW
        self.objects = Objects()
        self.objects.put(CONFIGURATIONS, configuration())
        self.replicas = [Replica(self, life), Replica(self, life)]

    async def turn(self) -> None:
        for replica in self.replicas:
            await replica.turn()

    def held(self) -> Authorities:
        found = authorities.read(self.objects.store["secrets", "pillion", "pillion-injector-ca"])
        assert found is not None
        return found

    def trusted(self) -> list[bytes]:
        """The CAs that the API server trusts."""
        stored = self.objects.store["mutatingwebhookconfigurations", "", "pillion-injector"]
        (found,) = set(bundle.read(stored).bundles)
        pem = authorities._decoded({"b": found}, "b")
        return [
            one.public_bytes(making.serialization.Encoding.PEM)
            for one in x509.load_pem_x509_certificates(pem)
        ]

    def works(self) -> bool:
        """Whether a review would come through to every replica: its certificate is trusted, valid, and of the name."""
        return all(self._works(replica.certificate) for replica in self.replicas)

    def _works(self, certificate: bytes) -> bool:
        names = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        return (
            making.span(certificate).holds(self.now)
            and any(
                making.signed(certificate, ca) and making.span(ca).holds(self.now) for ca in self.trusted()
            )
            and "pillion-injector.pillion.svc" in names.value.get_values_for_type(x509.DNSName)
        )


@pytest.fixture
def world() -> World:
    return World()


async def test_two_replicas_share_one_ca_and_have_a_key_each(world: World) -> None:
    await world.turn()
    first, second = world.replicas
    await world.turn()
    assert world.works()
    assert first.certificate != second.certificate
    assert [write for write in world.objects.writes if "secrets" in write] == ["create secrets"]
    assert first.state.value.wrong(world.now) == ""


async def test_nothing_is_written_while_all_is_well(world: World) -> None:
    await world.turn()
    before = list(world.objects.writes)
    for _ in range(5):
        world.now += timedelta(hours=1)
        await world.turn()
    assert world.objects.writes == before


async def test_who_creates_the_secret_second_takes_the_first_ones(world: World) -> None:
    """Both saw none; the second create is refused."""
    first, second = world.replicas
    blind: Latest[Any] = Latest({})
    second.made._secrets = blind
    await first.turn()
    await second.turn()
    assert "another replica was faster" in second.board.reports["certificates"].detail
    assert second.made._held is None
    second.made._secrets = world.objects.cell(SECRETS)
    await second.turn()
    assert second.made._held == first.made._held


async def test_a_serving_certificate_is_replaced_at_half_of_its_life(world: World) -> None:
    await world.turn()
    first = world.replicas[0].certificate
    world.now += DAY / 2 - timedelta(minutes=1)
    await world.turn()
    assert world.replicas[0].certificate == first
    world.now += timedelta(minutes=2)
    await world.turn()
    assert world.replicas[0].certificate != first


async def test_no_review_fails_in_three_years_of_rotations() -> None:
    """Looked at after each replica's turn: every four days, and every minute while a rotation goes on."""
    world = World(timedelta(days=30))
    await world.turn()
    cas, rotating = {world.held().current.certificate}, False
    end = world.now + 3 * YEAR
    while world.now < end:
        for replica in world.replicas:
            before = world.held()
            await replica.turn()
            assert world.works(), world.now
            rotating = world.held() != before or world.held().coming is not None
        cas.add(world.held().current.certificate)
        world.now += timedelta(minutes=1) if rotating else timedelta(days=4)
    assert 6 <= len(cas) <= 8


async def test_a_coming_ca_signs_only_once_it_was_trusted_for_a_while(world: World) -> None:
    await world.turn()
    old = world.held().current
    world.now += YEAR / 2
    await world.turn()
    coming = world.held().coming
    assert coming is not None
    assert world.held().current == old
    assert set(world.trusted()) == {old.certificate, coming.certificate}
    world.now += settled(YEAR) / 2
    await world.turn()
    assert world.held().current == old
    world.now += settled(YEAR)
    await world.turn()
    assert world.held() == Authorities(coming, None, old.certificate)
    await world.turn()
    assert all(making.signed(one.certificate, coming.certificate) for one in world.replicas)
    assert set(world.trusted()) == {old.certificate, coming.certificate}


@pytest.mark.parametrize("away", [False, True])
async def test_a_coming_ca_that_the_configuration_does_not_hold_does_not_sign(
    world: World, away: bool
) -> None:
    await world.turn()
    old = world.held().current
    world.now += YEAR / 2
    await world.replicas[0].turn()
    world.objects.put(CONFIGURATIONS, configuration("Zm9yZWlnbg=="))
    world.now += timedelta(hours=5)
    if away:
        world.objects.failing = Transient("the API server is away")
        await world.turn()
        assert "away" in world.replicas[0].state.value.wrong(world.now)
        world.objects.failing = None
    await world.turn()
    assert world.held().current == old
    assert world.works()


async def test_a_former_ca_is_forgotten_when_it_ends(world: World) -> None:
    await world.turn()
    world.now += YEAR / 2
    await world.turn()
    world.now += settled(YEAR) * 2
    await world.turn()
    assert world.held().former
    world.now += YEAR / 2
    for _ in range(3):
        await world.turn()
    assert making.span(world.held().former or world.held().current.certificate).ends > world.now


@pytest.mark.parametrize("edited", [None, "", "Zm9yZWlnbg=="])
async def test_a_bundle_that_somebody_edited_is_repaired(world: World, edited: str | None) -> None:
    await world.turn()
    right = world.trusted()
    world.objects.put(CONFIGURATIONS, configuration(edited))
    await world.turn()
    assert world.trusted() == right
    assert world.replicas[0].registry.get_sample_value("pillion_injector_ca_repairs_total") == 2


async def test_a_deleted_secret_is_made_again_with_the_same_ca(world: World) -> None:
    await world.turn()
    await world.turn()
    before = world.held()
    world.objects.drop(SECRETS, "pillion-injector-ca", "pillion")
    await world.turn()
    assert world.held() == before
    assert world.works()


@pytest.mark.parametrize(
    "data",
    [
        {"current.crt": "eA=="},
        {"current.crt": "not base64"},
        {"current.crt": 7},
        "text",
        {"other": "eA=="},
        {},
    ],
)
async def test_a_secret_that_holds_no_ca_is_made_good(world: World, data: Any) -> None:
    metadata = {"name": "pillion-injector-ca", "namespace": "pillion"}
    world.objects.put(SECRETS, {"metadata": metadata, "data": data})
    await world.turn()
    await world.turn()
    assert world.works()


async def test_without_a_configuration_there_is_no_certificate_and_the_reason_is_told(world: World) -> None:
    world.objects.drop(CONFIGURATIONS, "pillion-injector")
    await world.turn()
    wrong = world.replicas[0].state.value.wrong(world.now)
    assert "no MutatingWebhookConfiguration pillion-injector" in wrong
    assert not world.replicas[0].tls.loaded


@pytest.mark.parametrize(
    "webhooks", [None, [], "x", [{}], [{"clientConfig": {}}], [{"clientConfig": {"url": "http://["}}]]
)
async def test_a_configuration_that_says_not_where_the_webhook_is_is_told(
    world: World, webhooks: Any
) -> None:
    world.objects.put(CONFIGURATIONS, {"metadata": {"name": "pillion-injector"}, "webhooks": webhooks})
    await world.turn()
    assert "webhook" in world.replicas[0].state.value.wrong(world.now)


async def test_other_names_in_the_configuration_make_another_certificate(world: World) -> None:
    await world.turn()
    world.objects.put(CONFIGURATIONS, configuration(url="https://127.0.0.1:9/mutate"))
    await world.turn()
    found = x509.load_pem_x509_certificate(world.replicas[0].certificate)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


async def test_with_the_api_server_away_what_works_goes_on_and_is_renewed(world: World) -> None:
    await world.turn()
    before = world.replicas[0].certificate
    world.objects.failing = Transient("the API server is away")
    world.now += DAY
    await world.turn()
    assert world.works()
    assert world.replicas[0].certificate != before
    assert world.replicas[0].state.value.wrong(world.now) == ""


@pytest.mark.parametrize("at", ["create", "patch"])
def test_a_question_that_fails_at_the_start_is_asked_again_soon(
    at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it has a certificate that is trusted the injector answers nothing, and no pod starts."""
    world = World()
    replica = world.replicas[0]
    well = getattr(world.objects, at)
    failures = iter([Transient("no answer within 10 s")] * 2)

    async def failing(*given: Any) -> Any:
        for failure in failures:
            raise failure
        return await well(*given)

    monkeypatch.setattr(world.objects, at, failing)

    async def story() -> float:
        task = asyncio.create_task(replica.made.run(lambda: None))
        await replica.state.until(lambda state: not state.wrong(world.now))
        task.cancel()
        await asyncio.wait({task})
        return asyncio.get_running_loop().time()

    assert virtual.run(story()) < 5


async def test_a_denied_patch_is_told_and_not_ready(world: World) -> None:
    world.objects.failing = Transient("PATCH was refused with 403; give the service account that right")
    await world.turn()
    assert "403" in world.replicas[0].state.value.wrong(world.now)


async def test_a_clock_that_is_behind_makes_no_other_ca(world: World) -> None:
    await world.turn()
    before = world.held()
    world.now -= timedelta(hours=3)
    await world.turn()
    assert world.held() == before


def test_a_current_ca_that_ended_gives_way_to_the_coming_one() -> None:
    old, coming = making.authority(NOW - 2 * YEAR, YEAR), making.authority(NOW - YEAR / 2, YEAR)
    assert due(Authorities(old, coming), NOW, YEAR, timedelta(), making.authority) == Authorities(coming)
    found = due(Authorities(old), NOW, YEAR, timedelta(), making.authority)
    assert making.span(found.current.certificate).holds(NOW)


def test_the_secret_holds_no_key_of_a_former_ca() -> None:
    one, other = making.authority(NOW, YEAR), making.authority(NOW, YEAR)
    held = Authorities(one, None, other.certificate)
    data = authorities.written(held)
    assert set(data) == {"current.crt", "current.key", "former.crt", "ca.crt"}
    assert authorities.read({"data": data}) == held


def test_no_key_is_in_a_text_of_a_pair() -> None:
    assert "PRIVATE" not in repr(Authorities(making.authority(NOW, YEAR)))


def test_a_certificate_does_not_outlive_its_ca() -> None:
    ca = making.authority(NOW, timedelta(hours=1))
    pair = making.serving(ca, ["a.b.svc"], NOW, DAY)
    assert making.span(pair.certificate).ends == making.span(ca.certificate).ends
    assert making.signed(pair.certificate, ca.certificate)
    assert not making.signed(pair.certificate, making.authority(NOW, YEAR).certificate)


@pytest.mark.parametrize(
    ("now", "trusted", "said"),
    [
        (NOW, True, ""),
        (NOW, False, "does not hold the CA"),
        (NOW + 2 * DAY, True, "valid from 2026-03-01 11:55 to 2026-03-02 12:00 UTC only"),
        (NOW - DAY, True, "valid from"),
    ],
)
def test_readiness_is_validity_and_trust(now: datetime, trusted: bool, said: str) -> None:
    ca = making.authority(NOW, YEAR)
    span = making.span(making.serving(ca, ["a.b.svc"], NOW, DAY).certificate)
    wrong = State(span, trusted, "").wrong(now)
    assert (said in wrong) if said else not wrong


class Folder:
    """Files as cert-manager's Secret is mounted: the names are links into a folder that is switched as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0
        for name in ("tls.crt", "tls.key"):
            (path / name).symlink_to(Path("..data") / name)
        self.tls, self.state, self.board = Tls(), Latest(State()), Board(lambda: 0.0)
        self.registry = CollectorRegistry()
        self.files = Files(
            path / "tls.crt", path / "tls.key", self.tls, self.state,
            health=self.board.of("certificates"), metrics=Metrics(self.registry),
        )  # fmt: skip

    def put(self, pair: Pair) -> None:
        self.generation += 1
        fresh = self.path / f"..{self.generation}"
        fresh.mkdir()
        (fresh / "tls.crt").write_bytes(pair.certificate)
        (fresh / "tls.key").write_bytes(pair.key)
        beside = self.path / "..new"
        beside.symlink_to(fresh.name)
        beside.rename(self.path / "..data")

    def word(self) -> str:
        return self.board.reports["certificates"].detail


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def pair(name: str = "a.b.svc", begins: datetime = NOW) -> Pair:
    return making.serving(making.authority(begins, YEAR), [name], begins, DAY)


def test_files_are_read_again_when_they_change(folder: Folder) -> None:
    folder.files.turn()
    assert "No such file" in folder.state.value.wrong(NOW)
    folder.put(pair())
    folder.files.turn()
    first = folder.state.value
    assert first.wrong(NOW) == ""
    folder.put(pair(begins=NOW + DAY / 2))
    folder.files.turn()
    assert folder.state.value != first
    labels = {"kind": "read"}
    assert folder.registry.get_sample_value("pillion_injector_certificates_total", labels) == 2
    folder.files.turn()
    assert folder.registry.get_sample_value("pillion_injector_certificates_total", labels) == 2


@pytest.mark.parametrize(
    "bad",
    [
        Pair(b"", b""),
        Pair(b"not PEM", b"not PEM"),
        Pair(pair().certificate, pair().key),
        Pair(pair().certificate, b""),
        Pair(b"x" * (256 * 1024 + 1), b""),
    ],
)
def test_a_bad_pair_of_files_leaves_the_last_good_one(folder: Folder, bad: Pair) -> None:
    folder.put(pair())
    folder.files.turn()
    before = folder.state.value
    folder.put(bad)
    folder.files.turn()
    assert folder.state.value == before
    assert "the last good ones stay in use" in folder.word()
    assert "PRIVATE" not in folder.word()
    folder.put(pair())
    folder.files.turn()
    assert folder.word() == ""


def presented(server: ssl.SSLContext, version: ssl.TLSVersion, name: str | None) -> bytes:
    """The certificate that a client meets, as PEM."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ssl.DER_cert_to_PEM_cert(ends[0].getpeercert(binary_form=True) or b"").encode()


@pytest.mark.parametrize("name", ["a.b.svc", None])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_newest_certificate_is_served_whatever_the_kinds_of_keys(
    version: ssl.TLSVersion, name: str | None
) -> None:
    """OpenSSL keeps a certificate for each kind of key, and would go on with the former of the other kind."""
    tls = Tls()
    for one in (pair(), rsa_pair(NOW), pair(), pair(), rsa_pair(NOW)):
        tls.load(one)
        assert presented(tls.context, version, name) == one.certificate


def test_before_there_is_a_certificate_a_client_is_told_so_by_tls() -> None:
    with pytest.raises(ssl.SSLError):
        presented(Tls().context, ssl.TLSVersion.TLSv1_3, None)


def test_a_pair_that_can_not_be_loaded_does_not_spoil_the_context() -> None:
    tls = Tls()
    good, other = pair(), pair()
    tls.load(good)
    with pytest.raises(ssl.SSLError):
        tls.load(Pair(other.certificate, good.key))
    tls.load(good)
    assert tls.loaded
