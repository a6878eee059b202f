"""`pillion doctor --kubernetes` on a cluster where all is well, and where something is not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.kubernetes.install import SHOP
from tests.kubernetes.world import World


def _doctor(world: World) -> tuple[int, list[dict[str, Any]]]:
    pillion = str(Path(sys.executable).with_name("pillion"))
    folder = str(Path(world.kube.kubectl).parent)
    env = {**os.environ, "KUBECONFIG": str(world.kube.kubeconfig), "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        [pillion, "doctor", "--kubernetes", "--json"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.startswith(("{", "[")), done.stderr
    said = json.loads(done.stdout)
    return done.returncode, said["findings"] if isinstance(said, dict) else said


def test_doctor_finds_no_problem_in_a_cluster_where_all_is_well(world: World) -> None:
    code, findings = _doctor(world)
    world.record.table("pillion doctor --kubernetes", ["level", "check", "subject", "found"])
    for one in findings:
        world.record.row([one["level"], one["id"], one["subject"], one["found"]])
    assert [one for one in findings if one["level"] == "problem"] == []
    assert code == 0


def test_doctor_names_a_service_that_goes_round_the_sidecar(world: World) -> None:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "bypass", "namespace": SHOP},
        "spec": {"selector": {"app.kubernetes.io/name": "inventory"}, "ports": [{"port": 80, "targetPort": 8000}]},
    }  # fmt: skip
    world.kube.apply(service)
    try:
        _, findings = _doctor(world)
        assert [one for one in findings if "bypass" in json.dumps(one) and one["level"] != "ok"]
    finally:
        world.kube.delete("service", "bypass", SHOP)
