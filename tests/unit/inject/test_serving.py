"""Which port speaks HTTP."""

import pytest

from agent.inject.injection import Verdict
from tests.unit.inject.examples import outcome, pod, sidecar, told


def port(number: int, name: str | None = None, **more: str) -> dict[str, object]:
    return {"containerPort": number, **({"name": name} if name else {}), **more}


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([port(8000)], "8000"),
        ([port(5432), port(8000)], None),
        ([port(9100, "metrics"), port(8000)], "8000"),
        ([port(80, "web"), port(8000, "http")], "8000"),
        ([port(8080, "http-api"), port(9090, "grpc")], "8080"),
        ([port(8443, "https")], None),
        ([port(5432)], None),
        ([port(8000, "amqp")], None),
        ([port(8000, "http", protocol="UDP")], None),
        ([port(8000), port(8000)], "8000"),
    ],
)
def test_the_port_that_is_called_http_else_the_only_one_without_a_name(ports, expected):
    one = pod(labels={"pillion.dev/inject": "true"}, ports=ports)
    assert told(sidecar(one)).get("PILLION_SERVICE_PORT") == expected


@pytest.mark.parametrize(
    "name",
    [
        "http-metrics", "metrics", "metrics-http", "http-admin", "admin-http", "http-health", "http-healthz",
        "web-probe", "http-debug", "http-db-metrics", "http-prom-stats",
    ],
)  # fmt: skip
def test_a_port_for_metrics_and_the_like_makes_no_service_of_a_database(name):
    database = pod(ports=[port(5432, "postgres"), port(9187, name)])
    assert outcome(database).verdict is Verdict.SKIPPED
    beside = pod(ports=[port(9187, name), port(8000)])
    assert told(sidecar(beside))["PILLION_SERVICE_PORT"] == "8000"


@pytest.mark.parametrize("name", ["http-api", "web", "http2", "http-profile", "gunicorn-1"])
def test_other_names_of_http_still_count(name):
    assert told(sidecar(pod(ports=[port(5432, "sql"), port(81, name)])))["PILLION_SERVICE_PORT"] == "81"


def test_of_several_http_ports_the_first_is_taken_and_the_others_are_named():
    found = outcome(pod(ports=[port(81, "web"), port(80, "http-x")]))
    assert (
        "the port 81 is taken for the service's; 80 may be meant too: pillion.dev/port says which"
        in found.warnings
    )


def test_who_asks_without_a_port_only_calls_others():
    found = told(sidecar(pod(labels={"pillion.dev/inject": "true"}, ports=[])))
    assert found["PILLION_SERVICE_REGISTER"] == "false"
    assert "PILLION_SERVICE_PORT" not in found


def test_kubectl_means_the_container_that_serves():
    one = pod(ports=[port(9100, "metrics")])
    one["spec"]["containers"].append({"name": "web", "image": "x", "ports": [port(80, "http")]})
    annotations = outcome(one).pod["metadata"]["annotations"]
    assert annotations["kubectl.kubernetes.io/default-container"] == "web"
