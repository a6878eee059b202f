"""docs/troubleshooting.md names what a caller sees."""

import pytest
import yaml

from tests.unit.docs.blocks import ROOT

MAPPERS = yaml.safe_load((ROOT / "envoy/local_replies.yaml").read_text(encoding="utf-8"))["mappers"]
TITLES = [one["body_format_override"]["json_format"]["title"] for one in MAPPERS]


@pytest.mark.parametrize("title", TITLES)
def test_each_answer_of_envoys_own_is_a_symptom_of_the_page(title: str) -> None:
    assert f'"{title}"' in (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
