"""What is written into the charts from elsewhere in the checkout: ``python -m tests.charts.generated`` in its root.

The table in each README and values.schema.json come from values.yaml's comments; scripts and the servers' configuration
are copies, because a chart can only use files of its own folder.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.charts import schema, values

ROOT = Path(__file__).parents[2]
CHARTS = ("pillion", "infrastructure", "service")
BEGIN = "<!-- values: made from values.yaml by `make docs`, not to be edited -->"
END = "<!-- end of values -->"

SHARED = "charts/infrastructure"
"""Where the originals of what several charts have are."""

COPIES: Mapping[str, str] = {
    **{
        f"charts/{chart}/{file}": f"{SHARED}/{file}"
        for chart, files in {
            "pillion": ("templates/_common.tpl", "files/check_addresses.py"),
            "service": ("templates/_common.tpl", "files/check_addresses.py", "files/make_secrets.py"),
        }.items()
        for file in files
    },
    "charts/infrastructure/files/backup-consul.sh": "compose/backup/consul.sh",
    "charts/infrastructure/files/backup-postgres.sh": "compose/backup/postgres.sh",
    "charts/infrastructure/files/roles.sh": "compose/postgres/roles.sh",
    "charts/infrastructure/files/jaeger.yaml": "compose/jaeger/jaeger.yaml",
    "charts/infrastructure/files/nats.conf": "compose/nats/nats.conf",
}
"""Each copy and where it comes from."""


def documents(root: Path = ROOT) -> Mapping[str, str]:
    """What each generated file holds, by its path in a checkout."""
    made = {copy: (root / source).read_text(encoding="utf-8") for copy, source in COPIES.items()}
    for chart in CHARTS:
        folder = root / "charts" / chart
        declared = values.read((folder / "values.yaml").read_text(encoding="utf-8"))
        page = (folder / "README.md").read_text(encoding="utf-8")
        made[f"charts/{chart}/README.md"] = readme(page, declared)
        made[f"charts/{chart}/values.schema.json"] = json.dumps(schema.document(declared), indent=1) + "\n"
    return made


def readme(page: str, declared: tuple[values.Value, ...]) -> str:
    """The page with the table between its two marks written anew. Raises ValueError where a mark is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the README lacks the line {BEGIN} or {END}")
    return "\n".join([before + BEGIN, *table(declared), END + after])


def table(declared: tuple[values.Value, ...]) -> list[str]:
    """A line of Markdown for each value; groups have none."""
    groups = values.groups(declared)
    rows = [
        f"| `{one.key}` | `{json.dumps(one.default)}` | {one.meaning} |".replace("|`", "| `")
        for one in declared
        if one.path not in groups
    ]
    return ["", "| value | default | meaning |", "|---|---|---|", *rows, ""]


def main() -> None:
    """Write all of them below the checkout."""
    for path, text in documents().items():
        file = ROOT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
