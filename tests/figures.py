"""Figures of tests that measure: printed, and kept beside the pictures of the last run."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "build" / "figures"


def keep(name: str, figures: Mapping[str, object]) -> None:
    """Write ``build/figures/NAME.json``, with how busy the machine is; to be called before anything is asserted."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    about = {"load": os.getloadavg(), "cores": os.cpu_count(), **figures}
    (FOLDER / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{name}: {json.dumps(about)}\n")
