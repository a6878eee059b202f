"""Secrets that a release needs: made once, completed by an upgrade, never replaced."""

import base64
import re
import ssl
import uuid
from collections.abc import Mapping
from typing import Any

import make_secrets
import pytest

from tests.unit.charts.cluster import Cluster

VALUES = "/api/v1/namespaces/infra/secrets/demo-values"
DERIVED = "/api/v1/namespaces/shop/secrets/demo-orders"


def _plan(text: str = "postgresql://orders:[[orders]]@db/shop", **kinds: str) -> dict[str, Any]:
    return {
        "labels": {"app.kubernetes.io/instance": "demo"},
        "values": {"namespace": "infra", "name": "demo-values", "kinds": {"orders": "password", **kinds}},
        "secrets": [{"namespace": "shop", "name": "demo-orders", "data": {"url": text}}],
    }


def _held(cluster: Cluster, path: str) -> dict[str, str]:
    data: Mapping[str, str] = cluster.secrets[path]["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_what_is_missing_is_made_and_written_where_it_is_used() -> None:
    cluster = Cluster()
    said = make_secrets.ensure(_plan(), cluster.call)
    password = _held(cluster, VALUES)["orders"]
    assert len(password) == 32
    assert _held(cluster, DERIVED) == {"url": f"postgresql://orders:{password}@db/shop"}
    assert cluster.secrets[VALUES]["metadata"]["labels"]["app.kubernetes.io/instance"] == "demo"
    assert not [line for line in said if password in line]


def test_a_second_run_writes_nothing() -> None:
    cluster = Cluster()
    make_secrets.ensure(_plan(), cluster.call)
    before, cluster.calls = dict(cluster.secrets), []
    assert make_secrets.ensure(_plan(), cluster.call) == ["every secret was there"]
    assert {method for method, _ in cluster.calls} == {"GET"}
    assert cluster.secrets == before


def test_an_upgrade_adds_what_is_new_and_keeps_what_is_there() -> None:
    cluster = Cluster()
    make_secrets.ensure(_plan(), cluster.call)
    before = _held(cluster, VALUES)
    make_secrets.ensure(_plan("nats://[[orders]]:[[token]]@nats", token="uuid"), cluster.call)
    after = _held(cluster, VALUES)
    assert after["orders"] == before["orders"]
    assert str(uuid.UUID(after["token"])) == after["token"]
    assert _held(cluster, DERIVED) == {"url": f"nats://{after['orders']}:{after['token']}@nats"}


def test_a_value_that_a_person_replaced_is_handed_on_and_not_replaced_again() -> None:
    cluster = Cluster()
    make_secrets.ensure(_plan(), cluster.call)
    cluster.secrets[VALUES]["data"]["orders"] = base64.b64encode(b"chosen").decode()
    make_secrets.ensure(_plan(), cluster.call)
    assert _held(cluster, VALUES)["orders"] == "chosen"
    assert _held(cluster, DERIVED) == {"url": "postgresql://orders:chosen@db/shop"}


@pytest.mark.parametrize("path", [VALUES, DERIVED])
def test_a_secret_of_somebody_else_is_refused_by_name_and_left_alone(path: str) -> None:
    cluster = Cluster()
    theirs = {"metadata": {"name": path.rpartition("/")[2], "labels": None}, "data": {"a": "b"}}
    cluster.put(path, theirs)
    with pytest.raises(make_secrets.RefusedError, match=path.rpartition("/")[2]):
        make_secrets.ensure(_plan(), cluster.call)
    assert cluster.secrets[path]["data"] == {"a": "b"}


def test_two_that_make_it_at_the_same_time_agree() -> None:
    cluster = Cluster()
    cluster.meanwhile = lambda method: make_secrets.ensure(_plan(), cluster.call) and None
    make_secrets.ensure(_plan(), cluster.call)
    password = _held(cluster, VALUES)["orders"]
    assert _held(cluster, DERIVED) == {"url": f"postgresql://orders:{password}@db/shop"}


def test_a_write_that_always_comes_too_late_is_given_up_with_a_sentence() -> None:
    def call(method: str, path: str, body: object) -> tuple[int, Any]:
        return (404, {}) if method == "GET" else (409, {})

    with pytest.raises(make_secrets.RefusedError, match="demo-values in infra was written by others"):
        make_secrets.ensure(_plan(), call)


def test_what_the_api_refuses_is_said_in_its_words() -> None:
    def call(method: str, path: str, body: object) -> tuple[int, Any]:
        return 403, {"message": "secrets is forbidden"}

    with pytest.raises(make_secrets.RefusedError, match="the API answered 403 secrets is forbidden"):
        make_secrets.ensure(_plan(), call)


def test_a_password_needs_no_escape_and_a_key_is_what_consul_takes() -> None:
    for _ in range(50):
        assert re.fullmatch(r"[A-Za-z0-9]{32}", make_secrets.password())
    assert len(base64.b64decode(make_secrets.key(), validate=True)) == 32


def test_a_cluster_whose_ca_lacks_an_extension_is_trusted_as_kubernetes_own_clients_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = ssl.create_default_context()
    made.verify_flags |= ssl.VERIFY_X509_STRICT  # the default of Python 3.13
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: made)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    make_secrets.cluster()
    assert not made.verify_flags & ssl.VERIFY_X509_STRICT
