"""What the demo says while it works: spinners and a table on a terminal, plain lines where there is none."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.table import Table

LINE_EVERY = 30.0
"""Seconds between two lines about one long work where nothing can be redrawn."""


class Report:
    """Sentences, progress and results on one console.

    ``console`` decides by itself whether it is a terminal; its width is not relied on, lines wrap.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str = "") -> None:
        """One line as it is."""
        self._console.print(escape(text), highlight=False, soft_wrap=True)

    def title(self, text: str) -> None:
        """The heading of what follows."""
        self._console.print(f"\n[bold]{escape(text)}[/bold]", highlight=False, soft_wrap=True)

    def done(self, text: str) -> None:
        """A line about something that ended well."""
        self._console.print(f"  [green]ok[/green]    {escape(text)}", highlight=False, soft_wrap=True)

    def failed(self, text: str) -> None:
        """A line about something that did not."""
        self._console.print(f"  [red]FAIL[/red]  {escape(text)}", highlight=False, soft_wrap=True)

    def saw(self, text: str) -> None:
        """A line about what came back."""
        self._console.print(f"        {escape(text)}", highlight=False, soft_wrap=True)

    @contextmanager
    def working(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show that work goes on; what is yielded takes the newest detail."""
        began = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(escape(text)) as status:
                yield lambda detail: status.update(
                    f"{escape(text)}  [dim]{time.monotonic() - began:.0f} s {escape(detail[:60])}[/dim]"
                )
            return
        self.say(f"{text} ...")
        yield _Lines(self.say, text, began)

    def table(self, rows: list[tuple[str, bool, str]]) -> None:
        """Name, whether it passed, and a remark, for each row."""
        shown = Table(show_edge=False, pad_edge=False)
        for heading in ("what", "", "seen"):
            shown.add_column(heading, overflow="fold")
        for name, passed, remark in rows:
            shown.add_row(
                escape(name), "[green]PASS[/green]" if passed else "[red]FAIL[/red]", escape(remark)
            )
        self._console.print()
        self._console.print(shown)


class _Lines:
    """Progress as a line now and then."""

    def __init__(self, say: Callable[[str], None], text: str, began: float) -> None:
        self._say = say
        self._text = text
        self._began = self._last = began

    def __call__(self, detail: str) -> None:
        now = time.monotonic()
        if now - self._last >= LINE_EVERY:
            self._last = now
            self._say(f"{self._text} ... {now - self._began:.0f} s ({detail})")
