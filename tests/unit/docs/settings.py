"""Examples of settings, read by the loader of the program."""

from pathlib import Path

from agent.config import live, sources
from agent.config.settings import Settings
from agent.runtime.errors import Misconfigured
from tests.unit.docs.blocks import Block

FILE = "# pillion.yaml"
"""First line of an example of the settings file."""
KV = "# KV pillion/"
"""How the first line of an example begins that is a value of Consul's KV; the service's name follows."""


SECRET = "postgresql://user:password@host/database\n"
"""What stands in every other file: one secret must be such a URL, the others may be anything."""


class OnlyThis:
    """A disk with the example on it, and a secret in whatever file the example names."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text

    def read(self, path: Path) -> str:
        return self.text if path == self.path else SECRET

    def open_to_all(self, path: Path) -> bool:
        return False


def is_example(block: Block) -> bool:
    """Whether the block shows settings as a whole file or value."""
    file = block.first == FILE or block.first.endswith("/pillion.yaml")
    return block.language in ("yaml", "yml") and (file or block.first.startswith(KV))


def wrong(block: Block) -> list[str]:
    """What the loader says against an example, warnings too; nothing for a right one."""
    try:
        if block.first.startswith(KV):
            live.override(Settings(), block.text.encode(), block.place)
            return []
        path = Path(block.place)
        loaded = sources.load({}, {}, path, OnlyThis(path, block.text))
    except Misconfigured as error:
        return [str(one) for one in error.problems]
    return [str(one) for one in loaded.warnings]
