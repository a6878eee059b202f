"""``python -m agent`` is ``pillion``; so is this file run by its path, as the supervisor does from any folder."""

import sys
from pathlib import Path

if not __package__:
    # Run with -P by its path, so that no folder of the user's can stand in for ours; needed from a checkout only.
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from agent.cli import main

if __name__ == "__main__":
    main()
