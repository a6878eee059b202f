"""What a chart writes as pillion.yaml, read as the agent reads it."""

from collections.abc import Sequence
from pathlib import Path

from agent.config import sources
from agent.config.checks import Purpose
from agent.config.disk import LocalDisk
from agent.config.settings import Settings


def settled(text: str, folder: Path, secrets: Sequence[str] = (), *, require: Purpose = "none") -> Settings:
    """The settings in ``text``; of ``secrets``, paths in it, each stands as a file in ``folder``."""
    for path in secrets:
        file = folder / path.rpartition("/")[2]
        file.write_text("postgresql://orders@db/orders")
        file.chmod(0o600)
        assert path in text
        text = text.replace(path, str(file))
    file = folder / "pillion.yaml"
    file.write_text(text)
    resolved = sources.load({}, {}, file, LocalDisk(), require=require)
    assert resolved.warnings == ()
    return resolved.settings
