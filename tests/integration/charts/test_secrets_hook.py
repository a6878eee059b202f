"""The Job that makes secrets, as the program that it is: over TLS, as its pod's service account."""

import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import make_secrets
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.integration.charts.rendering import Helm, one
from tests.unit.charts.cluster import Cluster

TOKEN = "the-pods-token"


class Api(ThreadingHTTPServer):
    """A Cluster behind TLS, for one token."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.cluster = Cluster()
        self.types: list[tuple[str, str]] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "ca.crt", folder / "key")
        self.socket = context.wrap_socket(self.socket, server_side=True)


class Asked(BaseHTTPRequestHandler):
    """One request."""

    server: Api

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.types.append((self.command, self.headers.get("Content-Type", "")))
        status, answer = 401, {"message": "Unauthorized"}
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            status, answer = self.server.cluster.call(self.command, self.path, body)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the base class looks for these names

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    _certificate(tmp_path)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    server = Api(tmp_path)
    threading.Thread(target=server.serve_forever, name="api").start()
    monkeypatch.setattr(make_secrets, "ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_port))
    yield server
    server.shutdown()
    server.server_close()


def _certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def _plan(helm: Helm, folder: Path, values: dict[str, Any]) -> str:
    file = folder / "plan.json"
    rendered = helm.render("infrastructure", values)
    file.write_text(one(rendered, "ConfigMap", "infrastructure-secrets")["data"]["plan.json"])
    return str(file)


def test_an_install_and_an_upgrade_over_tls_make_what_is_missing_and_tell_no_value(
    helm: Helm, api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make_secrets.main([_plan(helm, tmp_path, {})]) == 0
    path = "/api/v1/namespaces/somewhere/secrets/infrastructure-values"
    before = make_secrets._data(api.cluster.secrets[path])
    assert make_secrets.main([_plan(helm, tmp_path, {"nats": {"services": ["orders", "billing"]}})]) == 0
    after = make_secrets._data(api.cluster.secrets[path])
    assert set(after) - set(before) == {"nats-billing"}
    assert before.items() < after.items()
    assert ("PATCH", "application/merge-patch+json") in api.types
    said = capsys.readouterr().out
    assert "made nats-billing" in said
    assert not [value for value in after.values() if value in said]


def test_a_refusal_ends_the_job_with_a_sentence(
    helm: Helm, api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text("another")
    assert make_secrets.main([_plan(helm, tmp_path, {})]) == 1
    assert "the API answered 401 Unauthorized" in capsys.readouterr().err


def test_an_api_that_can_not_be_reached_ends_the_job_with_a_sentence(
    helm: Helm, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    assert make_secrets.main([_plan(helm, tmp_path, {})]) == 1
    assert "making secrets: " in capsys.readouterr().err
