"""The hook's folder on PYTHONPATH."""

import pytest

from tests.unit.inject.examples import application, outcome, pod, sidecar, told


def path(one):
    return told(application(one)).get("PYTHONPATH")


def warned(one) -> bool:
    return any("PYTHONPATH" in said for said in outcome(one).warnings)


@pytest.mark.parametrize(
    ("env", "annotation", "expected", "warns"),
    [
        ([], None, "/pillion/hook", True),
        ([], "", "/pillion/hook", False),
        ([], "/srv/app:/lib", "/pillion/hook:/srv/app:/lib", False),
        ([], "/srv/$(HOME)", "/pillion/hook:/srv/$$(HOME)", False),
        ([{"name": "PYTHONPATH", "value": "/a:/b"}], None, "/pillion/hook:/a:/b", False),
        ([{"name": "PYTHONPATH", "value": "$(ROOT)/a"}], None, "/pillion/hook:$(ROOT)/a", False),
        ([{"name": "PYTHONPATH", "value": "/a"}], "/ignored", "/pillion/hook:/a", False),
        ([{"name": "PYTHONPATH", "value": ""}], None, "/pillion/hook", False),
        ([{"name": "PYTHONPATH"}], None, "/pillion/hook", False),
    ],
)
def test_a_path_in_the_manifest_is_extended_and_one_of_the_image_must_be_said(
    env, annotation, expected, warns
):
    one = pod(env=env, annotations={} if annotation is None else {"pythonpath": annotation})
    assert path(one) == expected
    assert warned(one) == warns


def test_a_path_from_elsewhere_is_left_alone_and_reported():
    source = {"configMapKeyRef": {"name": "c", "key": "k"}}
    one = pod(env=[{"name": "PYTHONPATH", "valueFrom": source}])
    assert path(one) == source
    assert "volumeMounts" not in application(one)
    assert any("valueFrom" in said for said in outcome(one).warnings)


def test_a_source_of_the_environment_that_may_hold_one_is_named():
    one = pod(envFrom=[{"secretRef": {"name": "s"}}])
    assert any("envFrom" in said for said in outcome(one).warnings)


def test_the_sidecar_writes_what_the_application_only_reads():
    one = pod(volumeMounts=[{"name": "d", "mountPath": "/pillion"}])
    mount = application(one)["volumeMounts"][-1]
    assert mount == {"name": "pillion-hook", "mountPath": "/pillion-2/hook", "readOnly": True}
    container = sidecar(one)
    assert {"name": "pillion-hook", "mountPath": "/pillion-2/hook"} in container["volumeMounts"]
    assert told(container)["PILLION_TRACING_CARRY_DIR"] == "/pillion-2/hook"


def test_without_the_hook_nothing_of_it_is_there():
    one = pod(annotations={"carry": "off"})
    container = application(one)
    assert "volumeMounts" not in container
    assert not {"PYTHONPATH", "PILLION_CARRY_PORTS"} & told(container).keys()
    assert [volume["name"] for volume in outcome(one).pod["spec"]["volumes"]] == ["pillion-state"]
    assert "PILLION_TRACING_CARRY_DIR" not in told(sidecar(one))
