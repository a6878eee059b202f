"""JSON Patch applied, as the API server does it (RFC 6902); written for tests, and apart from what makes patches."""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any


def applied(document: Any, patch: Sequence[Mapping[str, Any]]) -> Any:
    """A copy of the document after the operations; raises KeyError or IndexError where one does not apply."""
    # Through JSON, as on its way to the server: what is one object here in two places is two there.
    found = json.loads(json.dumps(document))
    for one in patch:
        path = [part.replace("~1", "/").replace("~0", "~") for part in one["path"].split("/")[1:]]
        if not path:
            found = copy.deepcopy(one["value"])
            continue
        holder = found
        for part in path[:-1]:
            holder = holder[int(part)] if isinstance(holder, list) else holder[part]
        _do(one, holder, path[-1])
    return found


def _do(one: Mapping[str, Any], holder: Any, last: str) -> None:
    key: Any = int(last) if isinstance(holder, list) else last
    value = copy.deepcopy(one.get("value"))
    match one["op"], holder:
        case "add", list():
            if key > len(holder):
                raise IndexError(one["path"])
            holder.insert(key, value)
        case "add", _:
            holder[key] = value
        case "replace", _:
            _ = holder[key]
            holder[key] = value
        case "remove", _:
            del holder[key]
        case what, _:
            raise ValueError(what)
