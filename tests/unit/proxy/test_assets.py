"""Envoy's fragments on disk."""

from pathlib import Path

import pytest

from agent.proxy import assets
from agent.proxy.planner import plan
from agent.runtime.errors import Misconfigured
from tests.unit.proxy.planner import sample


def test_all_fragments_are_there_and_nothing_else() -> None:
    assert {path.stem for path in assets.folder().glob("*.yaml")} == set(assets.NAMES)
    assert not list(assets.folder().glob("*.py"))


def test_a_file_of_the_same_name_replaces_a_fragment(tmp_path: Path) -> None:
    (tmp_path / "upstream_cluster.yaml").write_text(
        (assets.folder() / "upstream_cluster.yaml")
        .read_text()
        .replace("idle_timeout: 300s", "idle_timeout: 7s")
    )
    snapshot = plan(sample.settings(), sample.CATALOG, assets.load(str(tmp_path)))
    assert "'idle_timeout': '7s'" in str(snapshot.clusters["upstream_orders"])


def test_everything_wrong_with_the_replacing_files_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "tracing.yaml").write_text("[")
    (tmp_path / "gateway.yaml").write_text("text")
    (tmp_path / "other.yaml").write_text("{}")
    with pytest.raises(Misconfigured) as refused:
        assets.load(str(tmp_path))
    for name in ("tracing.yaml", "gateway.yaml", "other.yaml"):
        assert name in str(refused.value)
    with pytest.raises(Misconfigured, match="can't be read"):
        assets.load(str(tmp_path / "nowhere"))


def test_a_listener_of_another_shape_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "inbound.yaml").write_text("filter_chains: []")
    with pytest.raises(Misconfigured, match=r"inbound\.yaml"):
        plan(sample.settings(), sample.CATALOG, assets.load(str(tmp_path)))
