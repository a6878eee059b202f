"""The generated files, written into a checkout: ``python -m agent.metrics.documents [FOLDER]``."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from agent.metrics import alerts, dashboard, reference

NOTE = "# Made from agent/metrics by `python -m agent.metrics.documents`; not to be edited.\n"


def documents() -> Mapping[str, str]:
    """What each generated file holds, by its path in a checkout."""
    rules = yaml.safe_dump(alerts.document(), sort_keys=False, width=120, allow_unicode=True)
    return {
        "compose/prometheus/rules.yml": NOTE + rules,
        "compose/grafana/dashboards/pillion.json": json.dumps(dashboard.document(), indent=2) + "\n",
        "docs/metrics.md": reference.page(),
    }


def write(folder: Path) -> None:
    """Write all of them below the folder of a checkout."""
    for path, text in documents().items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path())
