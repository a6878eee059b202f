"""docs/settings.md, written from the declarations: ``python -m agent.config.docs docs/settings.md``."""

import sys
from collections.abc import Iterator
from pathlib import Path

from agent.config import fields, values
from agent.config.fields import Setting
from agent.config.shapes import Group, Many, Named, Number, Shape, Switch
from agent.config.units import written

INTRODUCTION = """\
# Settings

Made from the declarations in `agent/config/sections` by `python -m agent.config.docs docs/settings.md`; not to be
edited.

Each setting can be given, in this order of precedence, as

1. a flag: `--service-health-path /healthz`;
2. a variable: `PILLION_SERVICE_HEALTH_PATH=/healthz`;
3. a key of the file that `--config` or `PILLION_CONFIG` names, else of `./pillion.yaml`:
   `service: {health_path: /healthz}`;
4. where none of these says anything, the foreign variable named in the table, such as `CONSUL_HTTP_ADDR`;
5. its default.

`pillion config show` says what is in force and where it came from, `pillion config check FILE` finds all that is wrong
with a file, `pillion config schema` prints a JSON Schema for an editor.

* **Durations** are written `250ms`, `10s`, `5m`, `1h`, `7d`, or as plain seconds; **sizes** `512MiB`, `64kB`, or as
  plain bytes.
* **Lists** in a flag or a variable are written `a,b`, **mappings** of texts `a=1,b=2`; the others as YAML or JSON in
  one text.
* **Booleans** are `true` and `false`; `yes`, `no`, `on` and `off` will do. In a variable also `1` and `0`; as flags
  `--tracing-carry` and `--no-tracing-carry`.
* **Secrets** have no flag, since a process list shows flags. The first line of the file that the `…_file` sibling
  names is the value; giving both is an error, a file that everybody may read a warning. A running agent reads the file
  again when it changed, however that was done, and keeps the last good value while there is none to be had.
* The file is YAML without anchors, tags and duplicate keys. An unknown key is an error, an unknown `PILLION_` variable
  a warning.
* An empty variable is an empty text or list; for a number or a choice it is an error. An empty foreign variable is
  none.
* **Live** settings can be changed without a restart by a document in Consul's KV at `pillion/SERVICE`, a
  gateway's at `pillion/gateway` (or its `service.name`), and so can `upstreams.*.traffic` and `upstreams.*.paths`: see
  [traffic.md](traffic.md).

## Kubernetes' service links

A Service called `pillion` or `pillion-…` puts variables such as `PILLION_PORT=tcp://10.0.0.1:80` and
`PILLION_SERVICE_HOST` into the containers of its namespace. They are ignored. `PILLION_SERVICE_HOST` and
`PILLION_SERVICE_PORT` are settings too: they count as links only while `PILLION_PORT=tcp://…` is there and holds the
very same host or port, which is reported. A value that a manifest sets replaces the link's and counts. Without doubt
it is with `enableServiceLinks: false`, as in Pillion's charts.
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([INTRODUCTION, *_sections(), *_entries()])


def _sections() -> Iterator[str]:
    headings: dict[str, list[Setting]] = {}
    for setting in fields.all_settings():
        prefix = setting.key.rpartition(".")[0] or setting.key
        headings.setdefault(prefix, []).append(setting)
    for prefix, settings in headings.items():
        yield f"## `{prefix}`\n"
        if settings[0].heading:
            yield f"{settings[0].heading}.\n"
        yield from _table(settings)


def _table(settings: list[Setting]) -> Iterator[str]:
    yield "| key | default | allowed | meaning |"
    yield "|---|---|---|---|"
    for one in settings:
        yield _row(one.key, default(one.member.default, one.shape), values.allowed(one.shape), _meaning(one))
    yield ""


def _meaning(setting: Setting) -> str:
    member = setting.member
    notes = [member.description]
    if member.secret:
        notes.append(f"**Secret**: `{setting.variable}`, no flag.")
    if member.aliases:
        notes.append(f"Else {', '.join(f'`{name}`' for name in member.aliases)}.")
    if member.live:
        notes.append("*Live.*")
    return " ".join(notes)


def _entries() -> Iterator[str]:
    seen: set[type] = set()
    for setting in fields.all_settings():
        inner = setting.shape
        while isinstance(inner, Many | Named):
            inner = inner.item if isinstance(inner, Many) else inner.value
        if isinstance(inner, Group) and inner.cls not in seen:
            yield from _entry(setting.key, inner, seen)


def _entry(key: str, group: Group, seen: set[type]) -> Iterator[str]:
    seen.add(group.cls)
    yield f"## An entry of `{key}`\n"
    yield f"{fields.first_sentence(group.cls.__doc__ or '')}.\n"
    yield "| key | default | allowed | meaning |"
    yield "|---|---|---|---|"
    for name, member in group.members.items():
        said = "*needed*" if member.required else default(member.default, member.shape)
        yield _row(name, said, values.allowed(member.shape), member.description)
    yield ""
    for name, member in group.members.items():
        inner = member.shape.item if isinstance(member.shape, Many) else None
        if isinstance(inner, Group) and inner.cls not in seen:
            yield from _entry(f"{key}.{name}", inner, seen)


def default(value: object, shape: Shape) -> str:
    """A default as the table and help name it: in its unit, a switch as a word, empty where it is empty."""
    match shape:
        case Switch():
            return "true" if value else "false"
        case Number() if isinstance(value, int | float):
            return written(value, shape.unit)
        case Many() if isinstance(value, tuple):
            return ",".join(str(one) for one in value)
        case Named() if isinstance(value, dict):
            return ",".join(value)
    return value if isinstance(value, str) else ""


def _row(key: str, said: str, allowed: str, meaning: str) -> str:
    cells = (f"`{key}`", said if said.startswith("*n") or not said else f"`{said}`", allowed, meaning)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
