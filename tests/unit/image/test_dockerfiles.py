"""What the Dockerfiles promise to whoever builds them."""

import configparser
import re
from pathlib import Path

import pytest

from tests.unit.image.locks import ROOT, SERVICES

IMAGE = ROOT / "Dockerfile"
FILES = [IMAGE, *(folder / "Dockerfile" for folder in SERVICES)]
BASE = "python:${PYTHON}${PYTHON_DIGEST:+@${PYTHON_DIGEST}}"


def instructions(path: Path, word: str) -> list[str]:
    """The arguments of all instructions of one kind, each in one line."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith(f"{word} ")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_everything_builds_on_one_python_whose_digest_can_be_given(path: Path) -> None:
    stages = set(re.findall(r" AS (\w+)$", path.read_text(), re.MULTILINE))
    bases = {line.split()[0] for line in instructions(path, "FROM")}
    assert bases - stages <= {BASE, "scratch"}
    assert BASE in bases
    assert (
        instructions(path, "ARG")[:2]
        == instructions(IMAGE, "ARG")[:2]
        == ["PYTHON=3.13-slim-trixie", "PYTHON_DIGEST="]
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_no_image_is_pulled_to_read_a_dockerfile(path: Path) -> None:
    """``# syntax=`` would, and BuildKit's own instructions would shut out Docker's classic builder."""
    assert not re.search(r"^#\s*syntax=|--mount=|<<", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_nothing_is_installed_without_check_sums(path: Path) -> None:
    installs = [part for run in instructions(path, "RUN") for part in run.split("&&") if " install " in part]
    pip = [part for part in installs if "pip " in part]
    assert pip
    assert all("--require-hashes" in part or "--no-index" in part for part in pip)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_a_container_does_not_run_as_root(path: Path) -> None:
    assert instructions(path, "USER") == ["65532:65532"]


def test_the_image_is_labelled_with_the_version_of_setup_cfg() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert f"VERSION={config['metadata']['version']}" in instructions(IMAGE, "ARG")


def test_the_services_know_nothing_of_pillion() -> None:
    for folder in SERVICES:
        assert "pillion" not in (folder / "Dockerfile").read_text().lower()
