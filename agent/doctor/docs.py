"""docs/doctor.md, written from the catalogue: ``python -m agent.doctor.docs docs/doctor.md``."""

import sys
from collections.abc import Iterator
from pathlib import Path

from agent.doctor.catalog import PARTS
from agent.doctor.catalog.declare import Part

INTRODUCTION = """\
# What `pillion doctor` finds

Made from `agent/doctor/catalog` by `python -m agent.doctor.docs docs/doctor.md`; not to be edited.

```console
$ pillion doctor
$ pillion doctor --json
$ pillion doctor --gateway
$ pillion doctor --kubernetes --context staging
```

It looks at everything that must work, at once and each within 15 seconds, and says of each what was found and what to
do. Give it the settings that the agent has: the same file, the same variables, the same user. An agent that runs with
them is asked; without one the machine is looked at as an agent would find it. Nothing is started or changed, no secret
is shown.

A *problem* keeps something from working, and makes the command end with 1. A *warning* does not. What needs no looking
at is marked `-`. With `--json` there is one object, `ok` and `findings`, each with `id`, `level` (`ok`,
`not applicable`, `warning`, `problem`), `subject`, `found` and `todo`; the ids are those below and stay. A thing that
can't be looked at at all is a problem with the id of its check, such as `consul` or `agent`.
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([INTRODUCTION, *(line for part in PARTS for line in _part(part))])


def _part(part: Part) -> Iterator[str]:
    yield f"## {part.title}\n"
    yield f"{part.when}\n"
    yield "| id | looks at | a problem | a warning | what to do |"
    yield "|---|---|---|---|---|"
    for one in part.entries:
        cells = (f"`{one.id}`", one.looks, one.problem, one.warning, one.todo)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
