"""Files of manifests, injected or freed of it, as one stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.config.settings import Settings
from agent.inject.injection import Namespace, Outcome, Verdict, inject, uninject
from agent.inject.manifests.stream import Change, Entry, changed, namespaces
from agent.runtime.errors import Problem

DEFAULT = "default"
"""The namespace of what names none, as kubectl has it."""


@dataclass(frozen=True)
class File:
    """A text and what the report calls it."""

    name: str
    text: str


@dataclass(frozen=True)
class Done:
    """The stream of all files, and what became of each resource."""

    text: str
    entries: tuple[Entry, ...]

    @property
    def wrong(self) -> bool:
        """Whether anything was refused: then nobody should use the stream."""
        return any(one.verdict is Verdict.REFUSED for one in self.entries)


def injected(files: Sequence[File], described: Sequence[File], settings: Settings) -> Done:
    """All files with their pod templates injected.

    ``described`` hold manifests of namespaces; those among ``files`` count too. What names no namespace goes to the
    only one that is described, else to ``default``.
    """
    spaces, problems = namespaces([(one.name, one.text) for one in described])
    # What can't be read at all among the manifests is refused when it comes to its turn.
    among, wrong = namespaces(
        [(one.name, one.text) for one in files if "Namespace" in one.text], also_unread=False
    )
    if problems := [*problems, *wrong]:
        return Done("", tuple(_refused(one) for one in problems))
    usual = next(iter(spaces)) if len(spaces) == 1 else DEFAULT
    known = {**among, **spaces}

    def change(pod: Mapping[str, Any], name: str) -> Outcome:
        return inject(pod, known.get(name or usual, Namespace(name or usual)), settings)

    return _all(files, change)


def describes_none(files: Sequence[File]) -> bool:
    """Whether there is no Namespace in files that should hold some; wrong ones count as there."""
    spaces, problems = namespaces([(one.name, one.text) for one in files])
    return not spaces and not problems


def uninjected(files: Sequence[File]) -> Done:
    """All files with their pod templates as they were before they were injected."""
    return _all(files, lambda pod, _name: uninject(pod))


def _refused(problem: Problem) -> Entry:
    return Entry(problem.key, Verdict.REFUSED, problem.wrong, (), (problem,))


def _all(files: Sequence[File], change: Change) -> Done:
    texts: list[str] = []
    entries: list[Entry] = []
    for file in files:
        result = changed(file.text, file.name, change)
        if texts and result.text.strip():
            texts.append(_between(texts[-1], result.text))
        texts.append(result.text)
        entries += result.entries
    return Done("".join(texts), tuple(entries))


def _between(before: str, after: str) -> str:
    """What makes one stream of two."""
    end = "" if not before or before.endswith("\n") else "\n"
    if after.lstrip().startswith("%"):
        # A directive stands before the line --- of its document, and behind the end of the one before.
        return f"{end}...\n"
    return end if after.startswith("---") else f"{end}---\n"
