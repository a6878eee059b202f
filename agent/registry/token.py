"""The ACL token, from the settings or from a file that may be replaced while the agent runs."""

from pathlib import Path

from agent.config.sections.registry import Registry
from agent.runtime.errors import Permanent, Transient


class Token:
    """The newest token. Its value appears in the request header only, never in a text."""

    def __init__(self, settings: Registry) -> None:
        self._value = settings.token.strip()
        self._file = Path(settings.token_file) if settings.token_file and not self._value else None
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> str:
        """The token to send, empty for none.

        Raises Transient when its file can't be read, Permanent when what it holds can't be a header.
        """
        if self._file is not None:
            self._refresh(self._file)
        if not self._value.isascii() or not (self._value.isprintable() or not self._value):
            raise Permanent(
                "the Consul token holds characters that no HTTP header can: check registry.token(_file)"
            )
        return self._value

    def _refresh(self, file: Path) -> None:
        try:
            state = file.stat()
            seen = (state.st_mtime_ns, state.st_size, state.st_ino)
            if seen != self._seen:
                self._value = file.read_text(encoding="utf-8").strip()
                self._seen = seen
        except (OSError, UnicodeDecodeError) as error:
            raise Transient(f"reading registry.token_file {file} failed: {type(error).__name__}") from error
