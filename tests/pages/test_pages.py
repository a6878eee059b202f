"""Every command that README.md and docs/ show runs beside a real system and prints what they show of it."""

import asyncio
import io
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from rich.console import Console

from agent.demo import backing
from agent.demo.ports import Ports, book
from agent.demo.report import Report
from agent.demo.stage import Stage
from tests.pages import table
from tests.pages.session import Done, Session, stays
from tests.pages.world import Place, World
from tests.unit.docs import apart, shape, typed
from tests.unit.docs.blocks import ROOT, Block, blocks
from tests.unit.docs.typed import Typed
from tests.waiting import until

STARTS_WITHIN = 30.0
"""Seconds that what a page has started may take until the next command works."""


def pages() -> Mapping[str, list[Block]]:
    """The pages with a command that is run, and all their blocks."""
    found: dict[str, list[Block]] = {}
    for block in blocks():
        found.setdefault(block.page, []).append(block)
    return {page: own for page, own in found.items() if any(map(_is_run, typed.all_of(own)))}


def _is_run(one: Typed) -> bool:
    return apart.entry(one) is None


@pytest.fixture(scope="module")
def world(server_folder: Path) -> Iterator[World]:
    """The demo's system."""
    folder = server_folder / "pages"
    folder.mkdir()
    stage = Stage(folder, Ports.free(book(folder)), Report(Console(file=io.StringIO())))
    try:
        stage.start()
        asyncio.run(until(lambda: backing.http_ok(f"{stage.gateway}/shop"), within=60))
        yield World(stage, folder)
    finally:
        stage.close()


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("pages")
@pytest.mark.parametrize("path", pages())
def test_the_commands_of_a_page_do_what_it_shows(path: str, world: World) -> None:
    """Typed in their order into one shell; what goes on, like `pillion run`, ends at Ctrl-C when the page is over."""
    page = table.of(path)
    folder = world.folder / re.sub(r"\W", "-", path)
    folder.mkdir()
    place = world.beside(page.beside) if page.beside else world.bare(folder)
    reader = Reader(world, page, folder, Session(folder, place, world.environ(place, folder)))
    try:
        with page.stand(world, reader.session) as texts:
            wrong = [one for block in pages()[path] for one in reader.read(block, {**page.texts, **texts})]
    finally:
        ends = reader.session.close()
    assert not [*wrong, *ends], "\n\n".join([*wrong, *ends])


class Reader:
    """Goes through a page from its top and does what it says."""

    def __init__(self, world: World, page: table.Page, folder: Path, session: Session) -> None:
        self.session = session
        self._world = world
        self._page = page
        self._folder = folder

    def read(self, block: Block, texts: Mapping[str, str]) -> list[str]:
        """Write the file or type the commands that a block shows; what was wrong."""
        named = table.FILE.match(block.first)
        if named is not None and self._page.beside == table.BARE:
            self._write(self._folder / named["path"], block.text)
        section = self._page.sections.get(heading(block))
        return [said for one in filter(_is_run, typed.of(block)) if (said := self._type(one, section, texts))]

    def _write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.session.place.settings(text) if file.name == "pillion.yaml" else text)

    def _type(self, one: Typed, section: table.Section | None, texts: Mapping[str, str]) -> str:
        """Type one command; what was wrong with what it did."""
        place, further = self._section(section)
        text = place.real(_replaced(one.text, texts))
        if stays(text):
            self.session.stay(text)
            return ""
        wanted = [place.real(_replaced(line, texts)) for line in one.shown]
        ends = (section or self._page).ends.get(one.text, 0)
        patience = max(self._page.patience, STARTS_WITHIN if self.session.goes_on else 0)
        deadline = time.monotonic() + patience
        while said := _wrong(self.session.run(text, further), ends, wanted, self._page.varies):
            if time.monotonic() > deadline:
                return f"{one.place}: $ {text}\n{said}\n{self.session.ended()}"
            time.sleep(0.2)
        return ""

    def _section(self, section: table.Section | None) -> tuple[Place, Mapping[str, str]]:
        """Where a section is typed, and its further variables."""
        if section is None:
            return self.session.place, {}
        place = self._world.beside(section.beside)
        real = {name: place.real(value) for name, value in section.environ.items()}
        return place, {**place.environ, **real}


def heading(block: Block) -> str:
    """The heading below which a block stands."""
    above = (ROOT / block.page).read_text(encoding="utf-8").splitlines()[: block.line]
    return next((line.lstrip("# ") for line in reversed(above) if line.startswith("## ")), "")


def _wrong(done: Done, ends: int, wanted: list[str], varies: Mapping[str, str]) -> str:
    printed = "\n".join(done.lines)
    if done.code != ends:
        return f"ended with {done.code}, not {ends}:\n{printed}"
    if not wanted:
        return ""
    return shape.wrong(
        [_replaced_by_pattern(line, varies) for line in wanted],
        [_replaced_by_pattern(line, varies) for line in done.lines],
    )


def _replaced(text: str, texts: Mapping[str, str]) -> str:
    for documented, real in texts.items():
        text = text.replace(documented, real)
    return text


def _replaced_by_pattern(text: str, patterns: Mapping[str, str]) -> str:
    for pattern, read in patterns.items():
        text = re.sub(pattern, read, text)
    return text


def test_each_page_that_needs_something_is_there() -> None:
    """A line of the table that no page uses would hide a page that was renamed."""
    assert set(table.PAGES) <= set(pages())
    for path, page in table.PAGES.items():
        assert set(page.sections) <= {heading(block) for block in pages()[path]}, path


def test_all_that_is_not_run_is_shown_elsewhere() -> None:
    """By tests that exist; and no entry is there for nothing."""
    commands = [*typed.all_of(blocks())]
    for entry in apart.APART:
        assert any(entry is apart.entry(one) for one in commands), f"no command is one of {entry}"
        assert (ROOT / entry.shown_by).exists(), entry
