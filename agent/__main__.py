"""``python -m agent`` is ``pillion``."""

from agent.cli import main

if __name__ == "__main__":
    main()
