"""A folder of nasty manifests; the first line of each says what becomes of its resources, in order."""

from pathlib import Path
from typing import Any

import pytest

from agent.config.settings import Settings
from agent.inject.injection import Namespace, Outcome, Verdict, inject, uninject
from agent.inject.manifests import load
from agent.inject.manifests.split import split
from agent.inject.manifests.stream import changed
from agent.inject.patch import same
from tests.kubernetes_schemas import NEWEST, OLDEST, validate
from tests.unit.inject.properties import OPTED_IN, SETTINGS, check

FILES = sorted((Path(__file__).parent / "corpus").glob("*.yaml"))
SECRET = "hunter2"


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def text(request: pytest.FixtureRequest) -> str:
    with request.param.open(newline="") as file:
        return file.read()


def injected(text: str, space: Namespace = OPTED_IN, settings: Settings = SETTINGS):
    return changed(text, "corpus", lambda pod, _name: inject(pod, space, settings))


def documents(text: str) -> list[Any]:
    """The data of each document that can be read so; of others their text."""
    found = []
    for piece in split(text):
        data = None
        try:
            data = load.from_json(piece.body) if piece.body.startswith("{") else None
            node = load.compose(piece.text)
            found.append(data or (load.data(node) if node else None))
        except load.InvalidError:
            found.append(data or piece.body)
    return [one for one in found if one is not None]


def test_there_are_enough_of_them():
    assert len(FILES) >= 80


def test_what_becomes_of_each_resource_is_what_the_file_says(text):
    expected = text.split("\n", 1)[0].removeprefix("# expect: ").strip()
    entries = injected(text).entries
    assert ", ".join(one.verdict.value for one in entries) == expected, entries
    for entry in entries:
        assert bool(entry.problems) == (entry.verdict is Verdict.REFUSED)
        assert SECRET not in str(entry)
        assert "\n" not in "".join([entry.reason, *entry.warnings, *map(str, entry.problems)])


def test_documents_in_which_nothing_is_changed_stay_byte_for_byte(text):
    result = injected(text)
    if all(one.verdict is not Verdict.INJECTED for one in result.entries):
        assert result.text == text
    before, after = split(text), split(result.text)
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        there = injected(one.text)
        if not any(entry.verdict is Verdict.INJECTED for entry in there.entries):
            assert one.text == other.text


def test_injecting_twice_changes_nothing_more(text):
    once = injected(text).text
    again = injected(once)
    assert again.text == once
    assert Verdict.INJECTED not in {one.verdict for one in again.entries}


def test_taken_out_again_every_document_is_equal_as_data(text):
    before = documents(text)
    result = injected(text)
    back = documents(changed(result.text, "corpus", lambda pod, _name: uninject(pod)).text)
    assert len(back) == len(before)
    for one, other in zip(before, back, strict=True):
        assert same(one, other)


def test_every_pod_keeps_what_is_its_own(text):
    def checked(pod, _name: str) -> Outcome:
        outcome = inject(pod, OPTED_IN, SETTINGS)
        check(pod, outcome)
        return outcome

    changed(text, "corpus", checked)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_takes_what_comes_out_where_it_took_what_went_in(text, version):
    settings = Settings(injector=type(SETTINGS.injector)(cluster_version=version))
    before, after = documents(text), documents(injected(text, settings=settings).text)
    for one, other in zip(before, after, strict=True):
        if isinstance(one, dict) and not validate(one, version):
            assert validate(other, version) == []
