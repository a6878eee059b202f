"""What is wrong with Consul or with the way to it is found on the real server, and the missing rule is named."""

import contextlib
import json
import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from agent.config.sections.registry import Registry
from agent.config.sections.service import Service
from agent.config.sections.store import Store
from agent.config.sections.traffic import Upstream
from agent.config.settings import Settings
from agent.demo import backing
from agent.demo.process import Process
from agent.doctor import report
from agent.inject.certificates import making
from agent.registry import rights
from agent.registry.rights import Rule
from agent.wiring.doctor_consul import consul
from tests.acl import AclConsul
from tests.integration.doctor.conftest import Doctor
from tests.integration.registry.test_login import Issuer, login_at, logins


@pytest.fixture(scope="module")
def acl(server_folder: Path) -> Iterator[AclConsul]:
    """A Consul that lets nobody in without a token."""
    server = AclConsul(server_folder / "doctor-consul")
    server.start()
    yield server
    server.stop()


@contextlib.contextmanager
def page(status: int, body: bytes) -> Iterator[str]:
    """The address of an HTTP server that is no Consul."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.provokes("consul.reachable", "problem")
def test_a_consul_that_is_away_is_told_with_its_address(doctor: Doctor) -> None:
    doctor()
    found = doctor.one("consul.reachable")
    assert "Connection refused (127.0.0.1:" in found["found"]
    assert found["todo"].startswith("Start Consul, or say where it is: registry.address")
    doctor(REGISTRY_ADDRESS="http://no-such-host.invalid:8500")
    assert doctor.one("consul.reachable")["level"] == "problem"


@pytest.mark.provokes("consul.reachable", "problem")
@pytest.mark.parametrize(("status", "body"), [(404, b"<html>"), (200, b"<html>"), (200, b"{}"), (302, b"")])
def test_what_answers_and_is_no_consul(doctor: Doctor, status: int, body: bytes) -> None:
    with page(status, body) as address:
        doctor(REGISTRY_ADDRESS=address)
    assert doctor.one("consul.reachable")["level"] == "problem"
    assert "<html>" not in doctor.said
    if status != 302:
        assert "Something else answers there" in doctor.one("consul.reachable")["todo"]


@pytest.mark.provokes("consul.reachable", "problem")
def test_tls_where_plain_http_is_spoken(doctor: Doctor) -> None:
    with page(200, b"") as address:
        doctor(REGISTRY_ADDRESS=address.replace("http:", "https:"))
    assert "write http:// in registry.address" in doctor.one("consul.reachable")["todo"]


class Secured(backing.Consul):
    """Consul that speaks TLS, with a certificate that nobody trusts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.https = backing.free_port({self.http, self.dns})
        certificate, key = folder / "cert.pem", folder / "key.pem"
        now = datetime.now(UTC)
        ca = making.authority(now, timedelta(days=2))
        made = making.serving(ca, ["127.0.0.1"], now, timedelta(days=1))
        certificate.write_bytes(made.certificate)
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(ca.certificate)
        key.write_bytes(made.key)
        file = folder / "consul.json"
        options = json.loads(file.read_text())
        options["ports"]["https"] = self.https
        options["tls"] = {"defaults": {"cert_file": str(certificate), "key_file": str(key)}}
        file.write_text(json.dumps(options))


@pytest.mark.provokes("consul.reachable", "problem")
def test_plain_http_where_tls_is_spoken_and_a_certificate_that_is_not_trusted(
    doctor: Doctor, tmp_path: Path
) -> None:
    server = Secured(tmp_path / "consul")
    server.start()
    try:
        doctor(REGISTRY_ADDRESS=f"http://127.0.0.1:{server.https}")
        assert "write https:// in registry.address" in doctor.one("consul.reachable")["todo"]
        doctor(REGISTRY_ADDRESS=f"https://127.0.0.1:{server.https}")
        assert "Name the CA that signed" in doctor.one("consul.reachable")["todo"]
        doctor(REGISTRY_ADDRESS=f"https://localhost:{server.https}", REGISTRY_CA_CERT=str(server.ca))
        assert "its certificate is for" in doctor.one("consul.reachable")["todo"]
        doctor(REGISTRY_ADDRESS=f"https://127.0.0.1:{server.https}", REGISTRY_CA_CERT="/no/ca.pem")
        assert "that this user may read" in doctor.one("consul.reachable")["todo"]
        doctor(REGISTRY_ADDRESS=f"https://127.0.0.1:{server.https}", REGISTRY_CA_CERT=str(server.ca))
        assert doctor.one("consul.reachable")["level"] == "ok"
    finally:
        server.stop()


@pytest.mark.provokes("consul.reachable", "problem")
def test_a_consul_that_hangs(doctor: Doctor, own_consul: backing.Consul) -> None:
    assert own_consul.pid is not None
    os.kill(own_consul.pid, signal.SIGSTOP)
    try:
        doctor(REGISTRY_ADDRESS=own_consul.url)
    finally:
        os.kill(own_consul.pid, signal.SIGCONT)
    assert "did not answer within 5 s" in doctor.one("consul.reachable")["found"]


class Alone(Process):
    """One server of three: nobody leads."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        http = backing.free_port()
        self.url = f"http://127.0.0.1:{http}"
        ports = {"http": http}
        for name in ("server", "serf_lan"):
            ports[name] = backing.free_port(ports.values())
        options = {
            "ports": {**ports, "dns": -1, "serf_wan": -1, "grpc": -1, "grpc_tls": -1},
            "bind_addr": "127.0.0.1",
            "data_dir": str(folder / "data"),
            "server": True,
            "bootstrap_expect": 3,
            "disable_update_check": True,
        }
        file = folder / "consul.json"
        file.write_text(json.dumps(options))
        argv = [backing.binary("consul"), "agent", f"-config-file={file}"]
        super().__init__("Consul", argv, folder / "log", answers=lambda: backing.tcp_ok(http))


@pytest.mark.provokes("consul.leader", "problem")
def test_a_cluster_without_a_leader(doctor: Doctor, tmp_path: Path) -> None:
    server = Alone(tmp_path / "alone")
    server.start()
    try:
        doctor(REGISTRY_ADDRESS=server.url)
    finally:
        server.stop()
    assert "no server leads" in doctor.one("consul.leader")["found"]


@pytest.mark.provokes("consul.clock", "warning")
@pytest.mark.parametrize(("ahead", "said"), [(30.0, "s ahead of Consul's"), (-30.0, "s behind Consul's")])
async def test_clocks_that_are_apart(
    doctor: Doctor, shared_consul: backing.Consul, ahead: float, said: str
) -> None:
    settings = Settings(registry=Registry(address=shared_consul.url))
    findings = await consul(settings, False, lambda: time.time() + ahead)
    doctor.everything += report.data(findings)["findings"]
    (clock,) = [one for one in findings if one.id == "consul.clock"]
    # Less by what the way to Consul took, which is no difference of clocks.
    assert re.match(rf"this host's is (2\d|30) {said}", clock.found)


def test_without_acls_nothing_is_said_of_rights(doctor: Doctor, shared_consul: backing.Consul) -> None:
    doctor(REGISTRY_ADDRESS=shared_consul.url, SERVICE_NAME="orders")
    assert doctor.one("consul.token")["level"] == "not applicable"
    assert doctor.wrong() == set()


@pytest.mark.provokes("consul.token", "problem")
def test_no_token_where_one_is_needed(doctor: Doctor, acl: AclConsul) -> None:
    doctor(REGISTRY_ADDRESS=acl.url, SERVICE_NAME="orders")
    assert doctor.one("consul.token")["found"] == "ACLs are on, and no token is given"
    lacks = [one for one in doctor.findings if one["id"] == "consul.rights"]
    assert 'service "orders" { policy = "write" }' in lacks[0]["todo"]


@pytest.mark.provokes("consul.token", "problem")
def test_a_token_that_consul_does_not_know(doctor: Doctor, acl: AclConsul) -> None:
    file = doctor.folder / "token"
    secret = str(uuid.uuid4())
    file.write_text(secret)
    file.chmod(0o600)
    doctor(REGISTRY_ADDRESS=acl.url, SERVICE_NAME="orders", REGISTRY_TOKEN_FILE=str(file))
    assert "Consul does not know it" in doctor.one("consul.token")["found"]
    assert secret not in doctor.said


@pytest.mark.provokes("consul.token", "problem")
def test_a_login_that_is_refused(doctor: Doctor, acl: AclConsul) -> None:
    (doctor.folder / "bearer").write_text("hunter2")
    (doctor.folder / "bearer").chmod(0o600)
    doctor(
        REGISTRY_ADDRESS=acl.url,
        REGISTRY_LOGIN_METHOD="nobody",
        REGISTRY_LOGIN_TOKEN_FILE=str(doctor.folder / "bearer"),
    )
    assert "logging in at Consul by the auth method 'nobody' failed" in doctor.one("consul.token")["found"]
    assert "hunter2" not in doctor.said


@pytest.mark.provokes("consul.reachable", "problem")
def test_a_login_at_a_consul_that_is_away_is_not_blamed(doctor: Doctor) -> None:
    (doctor.folder / "bearer").write_text("hunter2")
    (doctor.folder / "bearer").chmod(0o600)
    doctor(REGISTRY_LOGIN_METHOD="cluster", REGISTRY_LOGIN_TOKEN_FILE=str(doctor.folder / "bearer"))
    assert doctor.one("consul.reachable")["todo"].startswith("Start Consul, or say where it is")
    assert "consul.token" not in {one["id"] for one in doctor.findings}


def test_a_login_gets_a_token_that_is_given_back(doctor: Doctor, acl: AclConsul, tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    login_at(acl, issuer, "\n".join(map(str, RULES)))
    (doctor.folder / "bearer").write_text(issuer.token("orders"))
    (doctor.folder / "bearer").chmod(0o600)
    doctor(
        REGISTRY_ADDRESS=acl.url,
        REGISTRY_LOGIN_METHOD="cluster",
        REGISTRY_LOGIN_TOKEN_FILE=str(doctor.folder / "bearer"),
        **ORDERS,
    )
    assert doctor.wrong() == set()
    assert doctor.one("consul.rights")["found"] == "it has all that is needed"
    assert logins(acl) == []


ORDERS = {"SERVICE_NAME": "orders", "UPSTREAMS": "inventory,payments", "STORE_ACTION": "restart"}
RULES = rights.wanted(
    Settings(
        service=Service(name="orders"),
        upstreams={"inventory": Upstream(), "payments": Upstream()},
        store=Store(action="restart"),
    )
)


@pytest.mark.provokes("consul.rights", "problem")
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.needed], ids=str)
def test_exactly_the_rule_that_is_missing_and_needed_is_named(
    doctor: Doctor, acl: AclConsul, rule: Rule
) -> None:
    """With all but one; the real server says which."""
    assert without(doctor, acl, rule) == {("consul.rights", "problem")}


@pytest.mark.provokes("consul.rights", "warning")
@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.needed], ids=str)
def test_a_missing_rule_that_costs_a_part_only_is_a_warning(
    doctor: Doctor, acl: AclConsul, rule: Rule
) -> None:
    found = without(doctor, acl, rule)
    assert found - {("consul.version", "warning")} == {("consul.rights", "warning")}


@pytest.mark.provokes("consul.version", "warning")
def test_a_version_that_may_not_be_known(doctor: Doctor, acl: AclConsul) -> None:
    (rule,) = [rule for rule in RULES if rule.resource == "agent"]
    assert ("consul.version", "warning") in without(doctor, acl, rule)


def test_a_rule_for_the_one_agent_that_answers_will_do(doctor: Doctor, acl: AclConsul) -> None:
    name = acl.ask("/v1/agent/self")["Config"]["NodeName"]
    rules = [str(one) for one in RULES if one.resource not in {"agent", "session"}]
    own = [f'agent "{name}" {{ policy = "read" }}', f'session "{name}" {{ policy = "write" }}']
    token = acl.granted("\n".join([*rules, *own]))
    doctor(REGISTRY_ADDRESS=acl.url, REGISTRY_TOKEN=token, **ORDERS)
    assert doctor.wrong() == set()


def without(doctor: Doctor, acl: AclConsul, rule: Rule) -> set[tuple[str, str]]:
    """What is wrong with a token of all rules but one."""
    token = acl.granted("\n".join(str(one) for one in RULES if one != rule))
    doctor(REGISTRY_ADDRESS=acl.url, REGISTRY_TOKEN=token, **ORDERS)
    assert doctor.one("consul.rights")["todo"] == f"Add to its policy: {rule}"
    assert token not in doctor.said
    return doctor.wrong()


@pytest.mark.parametrize("gateway", [False, True])
def test_with_all_rules_nothing_is_missing(doctor: Doctor, acl: AclConsul, gateway: bool) -> None:
    settings = Settings() if gateway else Settings(service=Service(name="orders"))
    token = acl.granted("\n".join(map(str, rights.wanted(settings, gateway=gateway))))
    options = {"REGISTRY_ADDRESS": acl.url, "REGISTRY_TOKEN": token}
    if gateway:
        doctor("--gateway", GATEWAY_LISTEN=f"127.0.0.1:{backing.free_port()}", **options)
    else:
        doctor(SERVICE_NAME="orders", **options)
    assert doctor.wrong() == set()
    assert doctor.one("consul.rights")["found"] == "it has all that is needed"
