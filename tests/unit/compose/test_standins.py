"""What stand-in images are made of: the table, this machine's part, and the context that Docker gets."""

import io
import re
import tarfile
from pathlib import Path

import pytest
import yaml

from agent.demo.components import COMPONENTS
from agent.runtime.errors import Permanent
from tests.compose.standins import context, engine, host, table

ROOT = Path(__file__).parents[3]
COMPOSE = tuple(sorted((ROOT / "compose").glob("docker-compose-*.yml")))
ONE, TWO = (f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n" for body in ("b25l", "dHdv"))


def used() -> set[str]:
    """The images of others that the Compose files and the Dockerfiles start from."""
    files = [yaml.safe_load(file.read_text())["services"].values() for file in COMPOSE]
    images = {service["image"] for services in files for service in services if "image" in service}
    base = re.findall(r"^ARG PYTHON=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return {image for image in images if "${" not in image} | {f"python:{tag}" for tag in base}


def test_the_table_has_exactly_the_images_that_the_compose_files_and_the_dockerfiles_start_from() -> None:
    assert {image.tag for image in table.IMAGES} == used()


@pytest.mark.parametrize("image", [one for one in table.IMAGES if one.programs], ids=lambda one: one.folder)
def test_a_stand_in_holds_the_version_that_its_tag_says(image: table.Image) -> None:
    said = image.tag.partition(":")[2].removeprefix("v").removesuffix("-alpine")
    for name in image.programs:
        assert f"{COMPONENTS[name].version}.".startswith(f"{said}.")


@pytest.mark.parametrize("image", [*table.BASES, *table.IMAGES], ids=lambda one: one.folder)
def test_every_stand_in_starts_from_images_that_are_made_here(image: table.Image) -> None:
    known = {one.tag for one in (*table.BASES, *table.IMAGES)}
    text = image.dockerfile.read_text()
    assert set(table.bases_of(text)) <= known
    assert all(
        re.search(rf"^(COPY|ADD) .*\b{re.escape(name)}", text, re.MULTILINE) for name in image.programs
    )


def test_the_stages_of_a_dockerfile_are_no_bases() -> None:
    text = "FROM a:1 AS tools\nRUN x\nFROM tools AS more\nFROM scratch\nCOPY --from=more / /\n"
    assert table.bases_of(text) == ("a:1",)


def test_only_certificates_that_debian_lacks_are_carried_into_a_stand_in() -> None:
    assert host.beyond(f"# A comment\n{ONE}{TWO}".replace("\n", "\r\n"), ONE) == [TWO]


def test_pip_in_a_stand_in_asks_where_pip_asks_here_and_the_environment_wins() -> None:
    listed = ":env:.index-url='https://a/simple'\nglobal.index-url='https://b'\n"
    listed += "global.extra-index-url='\\nhttps://c\\nhttps://d'\nglobal.timeout='9'\n"
    assert host.pip_conf(host.settings_of(listed)).splitlines()[2:] == [
        "index-url = https://a/simple",
        "extra-index-url = https://c https://d",
    ]


def test_an_index_with_a_password_is_kept_out_of_a_stand_in() -> None:
    assert "index-url" not in host.pip_conf({"index-url": "https://me:secret@a/simple"})


def test_a_context_is_the_same_bytes_whoever_writes_it_when(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"x")
    program.chmod(0o600)
    file = context.File("program", program, executable=True)
    first, second = io.BytesIO(), io.BytesIO()
    context.write([file], first)
    program.touch()
    context.write([file], second)
    assert first.getvalue() == second.getvalue()
    with tarfile.open(fileobj=io.BytesIO(first.getvalue())) as tar:
        assert tar.getmember("program").mode == 0o755


def test_a_tag_that_the_registry_does_not_know_is_an_error_and_no_reason_for_a_stand_in() -> None:
    with pytest.raises(Permanent, match="the registry has no image a:1"):
        engine.refusal("a:1", "Error response from daemon: manifest for a:1 not found: manifest unknown")


def test_a_registry_that_can_not_be_reached_is_a_reason_for_a_stand_in() -> None:
    said = 'Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host'
    assert engine.refusal("a:1", f"Error\n{said}\n") == said
