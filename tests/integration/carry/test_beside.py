"""Beside other people's instrumentation the hook steps back: their headers stay, their spans are the parents."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent import carry
from tests.integration.carry.conftest import HERE, Service, Start
from tests.integration.carry.installed import installed
from tests.integration.carry.test_through_a_service import get, headers, target

CLIENTS = ("requests", "session", "urllib3", "urllib", "httpx", "aiohttp")
OTEL = {
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}

DATADOG = {
    "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
}
INSTRUMENTED = {"requests", "session", "httpx", "aiohttp"}
"""Of the clients, those that ddtrace knows without being asked."""


@pytest.fixture(scope="module")
def opentelemetry() -> Path:
    """OpenTelemetry with its instrumentation of Flask, requests and urllib3."""
    folder = installed(
        "opentelemetry-distro",
        "opentelemetry-instrumentation-flask",
        "opentelemetry-instrumentation-requests",
        "opentelemetry-instrumentation-urllib3",
    )
    # xds-protos makes the tests' own ``opentelemetry`` a regular package, which would hide this one.
    (folder / "opentelemetry" / "__init__.py").touch()
    return folder


@pytest.fixture(scope="module", params=["in the code", "its launcher within", "its launcher in front"])
def service(request: pytest.FixtureRequest, start: Start, opentelemetry: Path) -> Service:
    """The application with OpenTelemetry, switched on by itself or by its sitecustomize in either order."""
    if request.param == "in the code":
        return start("gthread", "instrumented", behind=opentelemetry, **OTEL)
    launcher = opentelemetry / "opentelemetry" / "instrumentation" / "auto_instrumentation"
    ours = os.pathsep.join([str(carry.SITE), str(launcher), str(opentelemetry), str(HERE)])
    if request.param == "its launcher within":
        return start("gthread", **OTEL, PYTHONPATH=ours)
    return start("otel", **OTEL, behind=opentelemetry)


def trace(value: str) -> tuple[str, str]:
    """The ids of trace and span."""
    _, trace_id, span, _ = value.split("-")
    return trace_id, span


@pytest.mark.parametrize("client", CLIENTS)
def test_the_service_s_own_span_is_the_parent_and_nothing_comes_twice(service: Service, client: str) -> None:
    """urllib, httpx and aiohttp are not instrumented here: the hook sends the span of the view."""
    given = headers("vendor=a1")
    answer = get(service, f"/call/{client}", given, url=target())
    seen: dict[str, Any] = answer.json()
    incoming, outgoing = trace(given["traceparent"]), trace(seen["carried"]["traceparent"])
    assert outgoing[0] == incoming[0]
    assert outgoing[1] != incoming[1]
    assert seen["twice"] == []
    assert seen["carried"]["x-request-id"] == given["x-request-id"]
    assert seen["carried"]["tracestate"] == "vendor=a1"
    assert answer.headers["x-pillion-carry"] == "1"


def test_a_trace_that_the_service_begins_goes_on(service: Service) -> None:
    seen = get(service, "/call/requests", {"x-request-id": "id-1"}, url=target()).json()
    assert seen["carried"]["x-request-id"] == "id-1"
    assert len(seen["carried"]["traceparent"]) == 55


def test_outside_of_the_mesh_the_hook_adds_nothing_to_what_opentelemetry_does(service: Service) -> None:
    seen = get(service, "/call/requests", headers(), url=target("api.example.com")).json()
    assert "x-request-id" not in seen["carried"]


def test_the_log_has_no_fault_of_the_hook(service: Service) -> None:
    assert "a fault of the hook" not in service.log.read_text()


@pytest.fixture(scope="module", params=["in the code", "its launcher within", "its launcher in front"])
def datadog(request: pytest.FixtureRequest, start: Start) -> Service:
    """The application with ddtrace, which unloads modules at the start because gevent is installed."""
    folder = installed("ddtrace")
    if request.param == "in the code":
        return start("gthread", "datadog", behind=folder, **DATADOG)
    if request.param == "its launcher in front":
        return start("ddtrace", behind=folder, **DATADOG)
    bootstrap = folder / "ddtrace" / "bootstrap"
    path = os.pathsep.join([str(carry.SITE), str(bootstrap), str(folder), str(HERE)])
    return start("gthread", **DATADOG, PYTHONPATH=path)


@pytest.mark.parametrize("client", [*CLIENTS, "http_client"])
def test_beside_ddtrace_nothing_comes_twice_and_the_trace_is_one(datadog: Service, client: str) -> None:
    """What it instruments has its headers, with its span as the parent; the rest has what came in."""
    for given in (headers("vendor=a1"), headers("vendor=a1")):
        answer = get(datadog, f"/call/{client}", given, url=target())
        seen: dict[str, Any] = answer.json()
        incoming, outgoing = trace(given["traceparent"]), trace(seen["carried"]["traceparent"])
        assert outgoing[0] == incoming[0]
        assert (outgoing[1] != incoming[1]) == (client in INSTRUMENTED)
        assert "vendor=a1" in seen["carried"]["tracestate"]
        assert seen["carried"]["x-request-id"] == given["x-request-id"]
        assert seen["twice"] == []
        assert answer.headers["x-pillion-carry"] == "1"
    assert "a fault of the hook" not in datadog.log.read_text()


@pytest.mark.parametrize("path", ["/thread", "/executor", "/nested-executor", "/thread-pool", "/own-queue"])
def test_beside_ddtrace_threads_carry_their_request_s_own_id(datadog: Service, path: str) -> None:
    """Their trace is ddtrace's matter, which begins a new one in some threads."""
    for given in (headers(), headers()):
        found = get(datadog, path, given, url=target()).json()
        for one in found if isinstance(found, list) else [found]:
            assert one["carried"]["x-request-id"] == given["x-request-id"]
            assert one["twice"] == []


def test_headers_that_sentry_sets_stay(start: Start) -> None:
    service = start("gthread", "watched", behind=installed("sentry-sdk"))
    given = headers()
    seen = get(service, "/call/requests", given, url=target()).json()
    assert seen["twice"] == []
    assert seen["carried"]["traceparent"] == given["traceparent"]
    assert seen["carried"]["x-request-id"] == given["x-request-id"]
    assert "sentry-trace_id=" in seen["carried"]["baggage"]


def test_a_coverage_that_starts_with_the_process_still_measures(tmp_path: Path) -> None:
    """Its way is a .pth file or a sitecustomize that looks at one variable."""
    folder = installed("coverage")
    (tmp_path / "sitecustomize.py").write_text("import coverage\ncoverage.process_startup()\n")
    (tmp_path / "settings.ini").write_text(f"[run]\ndata_file = {tmp_path}/found\n")
    before = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}{os.pathsep}{folder}"}
    env = {**before, **carry.environment(before), "COVERAGE_PROCESS_START": str(tmp_path / "settings.ini")}
    show = "import http.client as h; print(h.HTTPConnection.endheaders.pillion_carry)"
    done = subprocess.run(
        [sys.executable, "-c", show], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
    assert (tmp_path / "found").exists()


@pytest.mark.parametrize("client", ["requests", "session", "urllib3"])
def test_the_first_urllib3_carries_as_the_second_does(start: Start, client: str) -> None:
    service = start("gthread", behind=installed("urllib3<2", "requests<2.33"))
    for given in (headers(), {}, headers()):
        seen = get(service, f"/call/{client}", given, url=target()).json()
        assert (seen["carried"], seen["twice"]) == (given, [])
    retried = get(service, "/call/session", given, url=f"{target()}?once=503").json()
    assert (retried["carried"], retried["twice"]) == (given, [])
