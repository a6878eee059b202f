"""What the cluster says: versions, errors, access, rights."""

import json
import ssl
from pathlib import Path

import pytest

from agent.config.settings import Settings
from agent.inject import rights
from agent.inject.cluster import access, errors
from agent.inject.cluster.kinds import CONFIGURATIONS, NAMESPACES, SECRETS
from agent.inject.namespaces import namespace
from agent.inject.version import check, lower
from agent.runtime.errors import Misconfigured, Permanent, Transient

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "said", ["v1.29.0", "v1.37.2", "v1.31.2-gke.5", "v1.30.4+k3s1", "v2.0.0", "v1.100.0"]
)
def test_a_cluster_from_1_29_on_is_taken(said: str) -> None:
    check(said)


@pytest.mark.parametrize("said", ["v1.28.15", "v1.9.0", "v0.40.0", "v1.28.3-eks-1"])
def test_an_older_cluster_is_refused_with_a_sentence(said: str) -> None:
    with pytest.raises(Permanent, match=rf"runs Kubernetes {said}, but the injector needs 1.29 or later"):
        check(said)


@pytest.mark.parametrize("said", ["", "latest", "1", "v1", "v1.x"])
def test_what_is_no_version_is_refused(said: str) -> None:
    with pytest.raises(Permanent, match="not Kubernetes'"):
        check(said)


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [
        ("1.30", "v1.37.2", "1.30"),
        ("1.30", "v1.29.4", "v1.29.4"),
        ("1.30", "", "1.30"),
        ("", "v1.31.0", "v1.31.0"),
    ],
)
def test_the_older_of_setting_and_cluster_counts(one: str, other: str, older: str) -> None:
    assert lower(one, other) == older


def status(code: int, reason: str = "", message: str = "") -> bytes:
    return json.dumps({"kind": "Status", "code": code, "reason": reason, "message": message}).encode()


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", Permanent),
        (401, "Unauthorized", errors.Denied),
        (403, "Forbidden", errors.Denied),
        (404, "NotFound", errors.Absent),
        (409, "AlreadyExists", errors.Taken),
        (409, "Conflict", errors.Conflict),
        (410, "Expired", errors.Gone),
        (422, "Invalid", Permanent),
        (429, "TooManyRequests", Transient),
        (500, "InternalError", Transient),
        (503, "", Transient),
    ],
)
def test_each_status_has_its_kind(code: int, reason: str, kind: type[Exception]) -> None:
    found = errors.failure(code, {}, status(code, reason, "the words"), "GET /x", secret=False)
    assert type(found) is kind
    assert str(found).startswith("GET /x ")


def test_a_servers_words_about_a_secret_are_not_repeated() -> None:
    body = status(422, "Invalid", 'Secret "a" is invalid: data[x]: Invalid value: "hunter2"')
    assert "hunter2" not in str(errors.failure(422, {}, body, "PUT /x", secret=True))
    assert "Invalid" in str(errors.failure(422, {}, body, "PUT /x", secret=True))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message": 7}', b"\xff", b"[" * 100_000])
def test_an_answer_that_is_no_status_is_an_error_all_the_same(body: bytes) -> None:
    assert isinstance(errors.failure(502, {}, body, "GET /x", secret=False), Transient)


@pytest.mark.parametrize(("after", "delay"), [("7", 7.0), ("100000", 60.0), ("soon", None), ("", None)])
def test_a_delay_that_is_asked_for_is_kept_within_reason(after: str, delay: float | None) -> None:
    found = errors.failure(429, {"Retry-After": after}, b"", "GET /x", secret=False)
    assert isinstance(found, Transient)
    assert found.delay == delay


def test_names_can_not_leave_their_place_in_a_path() -> None:
    assert NAMESPACES.path("../secrets?x=1") == "/api/v1/namespaces/..%2Fsecrets%3Fx%3D1"
    assert SECRETS.path("a", "b") == "/api/v1/namespaces/b/secrets/a"
    assert CONFIGURATIONS.path() == "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


def test_outside_of_a_cluster_the_injector_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="KUBERNETES_SERVICE_HOST is not set"):
        access.in_cluster({}, tmp_path)
    with pytest.raises(Misconfigured, match=r"no token and no ca\.crt"):
        access.in_cluster({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path)


def test_the_access_of_a_pod_follows_its_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_text("not PEM")
    (tmp_path / "namespace").write_text("pillion\n")
    found = access.in_cluster(
        {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path
    )
    assert found.url == "https://[fd00::1]:6443"
    assert found.headers() == {"Authorization": "Bearer first"}
    assert "first" not in repr(found)
    assert access.own_namespace(tmp_path) == "pillion"
    with pytest.raises(Transient, match=r"ca\.crt"):
        found.tls()


def test_the_trust_is_made_anew_when_the_ca_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    pem = "".join(
        ssl.DER_cert_to_PEM_cert(der)
        for der in ssl.create_default_context().get_ca_certs(binary_form=True)[:1]
    )
    file.write_text(pem)
    found = access.Access("https://a", ca_file=str(file))
    first = found.tls()
    assert found.tls() is first
    file.unlink()
    file.write_text(pem + pem)
    assert found.tls() is not first


@pytest.mark.parametrize("one", [{}, {"metadata": None}, {"metadata": {"name": 7}}, {"metadata": []}])
def test_what_is_no_namespace_is_no_namespace(one: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no name"):
        namespace(one)


def test_labels_that_are_no_texts_are_left_out() -> None:
    found = namespace({"metadata": {"name": "a", "labels": {"x": "y", "z": 7}, "annotations": None}})
    assert (found.labels, found.annotations) == ({"x": "y"}, {})


def test_every_right_has_a_reason_and_names_a_setting_that_exists() -> None:
    for right in rights.ALL:
        assert right.why.endswith(".")
        section, _, field = right.named.partition(".")
        assert not right.named or getattr(getattr(Settings(), section), field)
        assert "create" not in right.verbs or not right.named, "RBAC can't limit create by name"


def test_what_can_be_limited_by_name_is() -> None:
    for right in rights.ALL:
        if {"update", "patch", "delete"} & set(right.verbs):
            assert right.named


def test_rights_become_the_rules_of_two_roles() -> None:
    names = {"webhook.secret": "s", "webhook.configuration": "c", "webhook.lease": "l"}
    own = rights.rules(rights.ALL, names, own=True)
    cluster = rights.rules(rights.ALL, names, own=False)
    assert {resource for rule in own for resource in rule["resources"]} == {"secrets", "leases"}
    assert {
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": ["mutatingwebhookconfigurations"],
        "verbs": ["list", "watch", "patch"],
        "resourceNames": ["c"],
    } in cluster


def test_the_page_lists_every_right_with_its_reason() -> None:
    page = (ROOT / "docs" / "kubernetes-webhook.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and line.count("|") == 6]
    assert len(rows) == len(rights.ALL) + 1
    for right in rights.ALL:
        (row,) = [
            row for row in rows if row.startswith(f"| {right.kind.plural} | {', '.join(right.verbs)} |")
        ]
        assert right.why in row
        assert right.named in row


def test_a_ca_without_the_extension_for_key_usage_is_trusted_as_kubernetes_own_clients_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ssl.create_default_context()
    made.verify_flags |= ssl.VERIFY_X509_STRICT  # the default of Python 3.13
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: made)
    found = access.Access("https://a", ca_file=str(tmp_path))
    context = found.tls()
    assert isinstance(context, ssl.SSLContext)
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
