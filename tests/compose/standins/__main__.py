"""``python -m tests.compose.standins``: see that Docker has every image that the Compose system starts from.

With PILLION_STANDINS=always nothing is pulled: what is missing is built here.
"""

import os
import sys

from rich.console import Console

from agent.demo.report import Report
from agent.runtime.errors import Permanent
from tests.compose.standins.make import have_all
from tests.compose.standins.table import IMAGES


def main() -> int:
    """0 when every image is there; 1 with one sentence on stderr about the first that can't be had."""
    try:
        have_all(IMAGES, Report(Console()), pulls=os.environ.get("PILLION_STANDINS") != "always")
    except Permanent as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
