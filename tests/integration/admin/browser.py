"""Debian's Chromium, driven by Playwright, on a page of an agent."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

PICTURES = Path(__file__).parents[3] / "build" / "status-page"
"""Where screenshots of the last run are."""

LONGEST = 120_000
"""Milliseconds that anything asked of the browser may take on a busy machine."""
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1180, "height": 900}


def chromium() -> str:
    """Its path; without one the test is skipped, or fails where everything is required."""
    named = (os.environ.get("PILLION_BIN_CHROMIUM"), shutil.which("chromium"), shutil.which("google-chrome"))
    found = next(filter(None, named), None)
    if found is None:
        reason = (
            "chromium is not installed: apt-get install chromium, or name a Chrome in PILLION_BIN_CHROMIUM"
        )
        pytest.fail(reason) if os.environ.get("PILLION_REQUIRE_ALL") else pytest.skip(reason)
    return found


@asynccontextmanager
async def opened() -> AsyncIterator[Browser]:
    """A browser that is gone afterwards."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), timeout=LONGEST)
        try:
            yield browser
        finally:
            await browser.close()


class Watched:
    """A page, what its console said, and every address it asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("request", lambda request: self.asked.append(request.url))

    async def wide(self) -> bool:
        """Whether one has to scroll sideways."""
        script = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(await self.page.evaluate(script))

    async def picture(self, name: str) -> Path:
        """Keep what it looks like."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        await self.page.screenshot(path=path, full_page=True)
        return path


async def visit(browser: Browser, url: str, *, size: dict[str, int] = DESK, dark: bool = False) -> Watched:
    """The page at an address, loaded."""
    context = await browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        color_scheme="dark" if dark else "light",
        locale="en-GB",
        timezone_id="UTC",
    )
    context.set_default_timeout(LONGEST)
    watched = Watched(await context.new_page())
    await watched.page.goto(url)
    return watched
