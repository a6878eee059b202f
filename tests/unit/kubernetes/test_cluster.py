"""Which Kubernetes the tests take."""

from pathlib import Path

import pytest

from tests.commands import CommandError
from tests.kubernetes import cluster


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no program on PATH and nothing beside the checkout."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(cluster, "BESIDE", tmp_path / "none")
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def test_a_cluster_that_kubeconfig_names_wins_over_all_others(bare: Path) -> None:
    program(bare / "bin" / "kind")
    found = cluster.find({"KUBECONFIG": "/some/config"}, bare)
    assert found == cluster.Given(Path("/some/config"), "")


def test_kind_wins_over_the_cluster_beside_the_checkout(bare: Path) -> None:
    program(bare / "bin" / "kind")
    program(bare / "beside" / "up")
    assert isinstance(cluster.find({"PILLION_CLUSTER": str(bare / "beside")}, bare), cluster.Kind)


def test_the_cluster_beside_the_checkout_is_taken_last(bare: Path) -> None:
    program(bare / "beside" / "up")
    found = cluster.find({"PILLION_CLUSTER": str(bare / "beside")}, bare)
    assert isinstance(found, cluster.Beside)
    assert found.folder == bare / "beside"


def test_without_any_it_is_said_what_to_do(bare: Path) -> None:
    with pytest.raises(CommandError, match=r"KUBECONFIG, or install kind, or let PILLION_CLUSTER"):
        cluster.find({}, bare)


def test_kubectl_is_taken_from_path_else_from_the_clusters_cache(bare: Path) -> None:
    cache = {"PILLION_CLUSTER_CACHE": str(bare / "cache")}
    with pytest.raises(CommandError, match="needs kubectl"):
        cluster.find_kubectl(cache)
    program(bare / "cache" / "bin" / "kubectl")
    assert cluster.find_kubectl(cache) == str(bare / "cache/bin/kubectl")
    program(bare / "bin" / "kubectl")
    assert cluster.find_kubectl(cache) == str(bare / "bin/kubectl")


def test_images_that_somebody_elses_cluster_lacks_are_named(bare: Path) -> None:
    with pytest.raises(CommandError, match=r"lacks pillion:1.*PILLION_LOAD"):
        cluster.Given(Path("/some/config"), "").load(["pillion:1"], bare)
