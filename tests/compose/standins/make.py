"""Have every image of the table: as Docker has it already, pulled, or built as a stand-in."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.demo.report import Report
from tests.compose.standins import context, engine
from tests.compose.standins.table import BASES, Image, bases_of


@dataclass
class Maker:
    """One run. ``known`` are all images that a Dockerfile may start from."""

    report: Report
    known: dict[str, Image]
    pulls: bool
    """Whether to try a pull before building; false after one registry could not be reached."""
    done: set[str] = field(default_factory=set)

    def have(self, image: Image) -> None:
        """See that Docker has the image. Raises Permanent when it can't."""
        if image.tag in self.done:
            return
        found = engine.kind(image.tag)
        if found is None and not self._pulled(image):
            self._build(image)
            found = image.kind
        self.report.done(f"{image.tag}{' (stand-in)' if found else ''}{remark(found)}")
        self.done.add(image.tag)

    def _pulled(self, image: Image) -> bool:
        if not self.pulls or image in BASES:
            return False
        with self.report.working(f"{image.tag}: pulling"):
            reason = engine.pull(image.tag)
        if reason:
            self.pulls = False
            self.report.say(f"no image is pulled: {reason}")
        return not reason

    def _build(self, image: Image) -> None:
        for base in bases_of(image.dockerfile.read_text()):
            self.have(self.known[base])
        files = context.files(image, self.report)
        began = time.monotonic()
        with self.report.working(f"{image.tag}: building a stand-in") as progress:
            engine.build(image, files, progress)
        self.report.saw(f"built in {time.monotonic() - began:.0f} s")


def remark(found: str | None) -> str:
    """What to add about a placeholder: that the real program is not in it."""
    return ": only a placeholder, not the program itself" if found == "placeholder" else ""


def have_all(images: Iterable[Image], report: Report, *, pulls: bool) -> None:
    """See that Docker has every image. Raises Permanent at the first that can't be had."""
    wanted = list(images)
    maker = Maker(report, {image.tag: image for image in (*BASES, *wanted)}, pulls)
    for image in wanted:
        maker.have(image)
