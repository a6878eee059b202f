"""The generated files, written into the checkout that is the working directory.

``python -m agent.metrics.documents`` writes all of them, with paths only those.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from agent.metrics import alerts, dashboard, reference

NOTE = "# Made from agent/metrics by `python -m agent.metrics.documents`; not to be edited.\n"


def documents() -> Mapping[str, str]:
    """What each generated file holds, by its path in a checkout."""
    rules = NOTE + yaml.safe_dump(alerts.document(), sort_keys=False, width=120, allow_unicode=True)
    board = json.dumps(dashboard.document(), indent=2) + "\n"
    return {
        "compose/prometheus/rules.yml": rules,
        "compose/grafana/dashboards/pillion.json": board,
        # A chart can only use files of its own folder.
        "charts/pillion/files/rules.yml": rules,
        "charts/pillion/files/dashboard.json": board,
        "docs/metrics.md": reference.page(),
    }


def write(folder: Path, chosen: Sequence[str]) -> None:
    """Write the chosen ones below the folder of a checkout, all if none is chosen; raises KeyError for others."""
    made = documents()
    for path in chosen or made:
        file = folder / path
        text = made[path]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(), sys.argv[1:])
