"""What the report says beside the verdict."""

from importlib import metadata

import pytest

from agent.config.sections.injector import Injector
from tests.unit.inject.examples import outcome, pod

QUIET = {"pythonpath": ""}


def said(one) -> str:
    return "\n".join(outcome(one).warnings)


def test_a_plain_pod_that_says_what_it_is_gets_no_warning():
    assert said(pod(annotations=QUIET)) == ""


@pytest.mark.parametrize("how", ["httpGet", "tcpSocket", "grpc"])
def test_probes_by_network_go_to_the_pods_address(how):
    one = pod(annotations=QUIET, readinessProbe={how: {"port": 8000}})
    assert "the probes of app go to the pod's address, not through the sidecar" in said(one)
    assert said(pod(annotations=QUIET, readinessProbe={"exec": {"command": ["x"]}})) == ""


def test_a_moved_inbound_port_is_named():
    one = pod(annotations={**QUIET, "port": "8000"}, ports=[{"containerPort": 15006}])
    assert "callers reach the sidecar at 15007, which a Service must target" in said(one)


def test_a_short_grace_period_is_warned_of():
    assert "requests in flight may be cut" in said(
        pod(annotations=QUIET, spec={"terminationGracePeriodSeconds": 5})
    )


def test_a_pod_that_only_calls_others_is_told_so_unless_it_said_it_itself():
    labels = {"pillion.dev/inject": "true"}
    assert "outbound only, not registered" in said(pod(labels=labels, annotations=QUIET, ports=[]))
    assert said(pod(labels=labels, annotations={**QUIET, "port": "0"}, ports=[])) == ""


def test_a_database_without_tables_relays_nothing():
    one = pod(annotations={**QUIET, "outbox-database-secret": "s"})
    assert "nothing is relayed" in said(one)


def test_resources_of_the_whole_pod_must_leave_room():
    one = pod(annotations=QUIET, spec={"resources": {"limits": {"memory": "1Gi"}}})
    assert "must leave room" in said(one)


def test_an_annotation_that_the_whole_pods_resources_leave_no_room_for_is_named():
    one = pod(annotations={**QUIET, "memory-limit": "1Gi"}, spec={"resources": {"limits": {"memory": "1Gi"}}})
    assert "pillion.dev/memory-limit is left out, since spec.resources says" in said(one)


def test_whether_a_guaranteed_pod_stays_so_is_said():
    one = {"limits": {"cpu": "1", "memory": "1Gi"}}
    assert (
        "stays of the class Guaranteed: the sidecar's limits are its requests (cpu 500m, memory 512Mi)"
        in said(pod(annotations=QUIET, resources=one))
    )
    both = {**QUIET, "cpu-request": "100m", "cpu-limit": "1"}
    assert "was of the class Guaranteed and is Burstable" in said(pod(annotations=both, resources=one))


def test_the_sidecars_image_is_this_versions():
    assert Injector().image == f"pillion:{metadata.version('pillion')}"
