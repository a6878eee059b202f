"""What holds of every pod that was injected, whatever it was."""

from collections.abc import Mapping
from typing import Any

from agent.config.settings import Settings
from agent.inject import options
from agent.inject.injection import Namespace, Outcome, Verdict, inject, uninject
from agent.inject.mutate.evict import KEY as EVICT
from agent.inject.mutate.shown import DEFAULT
from agent.inject.patch import between, same
from tests.pod_security import violations
from tests.unit.inject.apply import applied

OPTED_IN = Namespace("shop", {"pillion.dev/inject": "enabled"}, {})
SETTINGS = Settings()
OURS = frozenset({"PYTHONPATH", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "POD_IP"})
"""Variables that an application's container may get, beside those that begin with PILLION_."""


def check(pod: Mapping[str, Any], outcome: Outcome, settings: Settings = SETTINGS) -> None:
    """Everything below."""
    if outcome.verdict is not Verdict.INJECTED:
        assert outcome.pod is pod
        assert outcome.reason
        assert bool(outcome.problems) == (outcome.verdict is Verdict.REFUSED)
        return
    after = outcome.pod
    check_sidecar(after)
    check_applications(pod, after)
    check_names(after)
    if not violations(pod["spec"]):
        assert violations(after["spec"]) == []
    again = inject(after, OPTED_IN, settings)
    assert (again.verdict, again.pod is after) == (Verdict.SKIPPED, True)
    back = uninject(after)
    assert back.verdict is Verdict.INJECTED
    assert same(back.pod, dict(pod))
    patch = between(pod, after)
    assert same(applied(pod, patch), after)
    assert all(one["path"].startswith(("/metadata", "/spec")) for one in patch)


def check_sidecar(after: Mapping[str, Any]) -> None:
    """One native sidecar, first, which is admitted by itself."""
    marked = [one for one in after["spec"]["initContainers"] if one["name"].startswith("pillion")]
    sidecar = after["spec"]["initContainers"][0]
    assert sidecar in marked
    assert sidecar["restartPolicy"] == "Always"
    assert violations({"containers": [sidecar]}) == []
    assert sidecar["securityContext"]["readOnlyRootFilesystem"] is True


def check_applications(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Application containers change in the named places only, all others not at all."""
    spec, changed = before["spec"], after["spec"]
    rest = {"containers", "initContainers", "volumes"}
    assert {k: v for k, v in spec.items() if k not in rest} == {
        k: v for k, v in changed.items() if k not in rest
    }
    assert changed["initContainers"][1:] == (spec.get("initContainers") or [])
    volumes = spec.get("volumes") or []
    assert changed["volumes"][: len(volumes)] == volumes
    assert len(changed["containers"]) == len(spec["containers"])
    for one, other in zip(spec["containers"], changed["containers"], strict=True):
        check_application(one, other)
    metadata = dict(before.get("metadata") or {})
    there, now = metadata.pop("annotations", None) or {}, dict(after["metadata"])
    annotations = dict(now.pop("annotations"))
    assert metadata == now
    check_evictable(there, annotations, changed["volumes"][len(volumes) :])
    added = annotations.keys() - there.keys()
    assert added <= {options.MARKER, DEFAULT}
    assert {k: v for k, v in annotations.items() if k not in added} == there


def check_evictable(
    there: Mapping[str, Any], annotations: dict[str, Any], ours: list[dict[str, Any]]
) -> None:
    """The cluster autoscaler's annotation names all of our volumes on the disk behind what it had; it is then put back
    in ``annotations`` as it was."""
    said, theirs = annotations.pop(EVICT), there.get(EVICT)
    if theirs is not None:
        annotations[EVICT] = theirs
        assert said.startswith(theirs)
    assert {one["name"] for one in ours if "emptyDir" in one} <= set(said.split(","))


def check_application(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """The same for one container."""
    places = {"env", "volumeMounts", "lifecycle"}
    assert {k: v for k, v in before.items() if k not in places} == {
        k: v for k, v in after.items() if k not in places
    }
    theirs = before.get("env") or []
    now = after.get("env") or []
    for one, other in zip(theirs, now, strict=False):
        if one["name"] == "PYTHONPATH" and one != other:
            assert other["value"].endswith(one.get("value") or "")
        else:
            assert one == other
    added = [one["name"] for one in now[len(theirs) :]]
    assert all(name in OURS or name.startswith("PILLION_") for name in added)
    assert not {one["name"] for one in theirs} & set(added)
    mounts = before.get("volumeMounts") or []
    assert (after.get("volumeMounts") or [])[: len(mounts)] == mounts
    lifecycle = before.get("lifecycle") or {}
    if lifecycle.get("preStop") is not None:
        assert after.get("lifecycle") == before.get("lifecycle")


def check_names(after: Mapping[str, Any]) -> None:
    """No two containers, volumes or ports of ours and theirs are the same."""
    spec = after["spec"]
    containers = [*spec["containers"], *spec["initContainers"]]
    names = [one["name"] for one in containers]
    assert len(set(names)) == len(names)
    sidecar = spec["initContainers"][0]
    ours = {port["containerPort"] for port in sidecar["ports"]}
    theirs = {
        port.get("containerPort")
        for one in containers
        if one is not sidecar
        for port in one.get("ports") or []
    }
    assert not ours & theirs
    volumes = [one["name"] for one in spec["volumes"]]
    mounted = {one["name"] for one in sidecar["volumeMounts"]}
    assert all(volumes.count(name) == 1 for name in mounted)
    for container in containers:
        paths = [one["mountPath"] for one in container.get("volumeMounts") or [] if one["name"] in mounted]
        everywhere = [one["mountPath"] for one in container.get("volumeMounts") or []]
        assert all(everywhere.count(path) == 1 for path in paths)
