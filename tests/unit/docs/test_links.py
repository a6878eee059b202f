"""A newcomer finds every page, and no link leads nowhere."""

from pathlib import Path

import pytest

from tests.unit.docs import links
from tests.unit.docs.blocks import ROOT, pages

INDEX = ROOT / "docs" / "README.md"
BESIDE = ("CONTRIBUTING.md", "CHANGELOG.md", "compose/README.md", "charts/*/README.md")
"""Pages that the index leads to, besides those of docs/."""
ALL = (*pages(), *(found for pattern in BESIDE for found in sorted(ROOT.glob(pattern))))


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_of_a_page_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    wrong = []
    for target in links.of(page):
        path, _, name = target.partition("#")
        found = (page.parent / path) if path else page
        if not found.exists() or (name and name not in links.anchors(found)):
            wrong.append(target)
    assert wrong == []


def test_the_index_leads_to_every_page() -> None:
    """Directly: nothing is found only by chance."""
    led = {(INDEX.parent / target.partition("#")[0]).resolve() for target in links.of(INDEX)}
    assert {str(page.relative_to(ROOT)) for page in set(ALL) - led} - {"docs/README.md"} == set()


def test_the_readme_and_the_index_lead_to_each_other() -> None:
    assert "docs/README.md" in links.of(ROOT / "README.md")
    assert "../README.md" in links.of(INDEX)


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("When something dies", "when-something-dies"),
        ("What happens when … dies", "what-happens-when--dies"),
        ("One request: `pillion trace`", "one-request-pillion-trace"),
        ("https and CONNECT", "https-and-connect"),
        ("A [link](x.md), and more", "a-link-and-more"),
    ],
)
def test_headings_have_the_names_that_github_gives(heading: str, name: str) -> None:
    assert links.anchor(heading) == name
