"""The workflows as data."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))


def read(path: Path) -> dict[str, Any]:
    """One workflow. YAML takes the key ``on`` for true."""
    content: dict[Any, Any] = yaml.safe_load(path.read_text())
    content["on"] = content.pop(True)
    return content


WORKFLOWS = {path.name: read(path) for path in FILES}
JOBS = {
    f"{name}/{job}": content
    for name, workflow in WORKFLOWS.items()
    for job, content in workflow["jobs"].items()
}
STEPS = [(job, step) for job, content in JOBS.items() for step in content.get("steps", [])]
SCRIPTS = [(job, step["run"]) for job, step in STEPS if "run" in step]
USES = [
    *[(job, step["uses"]) for job, step in STEPS if "uses" in step],
    *[(job, content["uses"]) for job, content in JOBS.items() if "uses" in content],
]
