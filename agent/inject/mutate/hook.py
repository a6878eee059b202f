"""The carry hook in an application's container: the mount, and PYTHONPATH."""

from typing import Any

from agent.inject import parts
from agent.inject.mutate.marker import Container, listed, note
from agent.inject.mutate.tell import literal
from agent.inject.options import PREFIX
from agent.inject.plan import Plan

NAME = "PYTHONPATH"


def hooked(
    container: dict[str, Any], plan: Plan, asked: bool, added: Container
) -> tuple[dict[str, Any], list[str]]:
    """The container with the hook, and what to warn of; ``asked``: somebody said what PYTHONPATH the image has."""
    if not plan.carries:
        return container, []
    theirs = parts.variable(container, NAME)
    folder = plan.names.folder
    if theirs is not None and theirs.get("valueFrom") is not None:
        return container, [_left_alone(container["name"], folder)]
    env, warnings = listed(container, "env", added), []
    if theirs is not None:
        own = theirs.get("value") or ""
        note(theirs, "value", added)
        added.pythonpath = own
        env[_last(env)] = {**theirs, "value": f"{folder}:{own}" if own else folder}
    else:
        image = plan.own.pythonpath
        added.env.append(NAME)
        env.append({"name": NAME, "value": f"{folder}:{literal(image)}" if image else folder})
        if not asked:
            warnings.append(_replaced(container))
    mounts = listed(container, "volumeMounts", added)
    mounts.append({"name": plan.names.hook, "mountPath": folder, "readOnly": True})
    added.mount = folder
    return {**container, "env": env, "volumeMounts": mounts}, warnings


def _last(env: list[dict[str, Any]]) -> int:
    return max(index for index, one in enumerate(env) if one["name"] == NAME)


def _left_alone(container: str, folder: str) -> str:
    return (
        f"container {container} takes {NAME} from elsewhere (valueFrom), which is left alone: it carries no trace "
        f"context; put {folder} into that value and mount it yourself, or give {NAME} by value"
    )


def _replaced(container: dict[str, Any]) -> str:
    also = " or a source of envFrom" if container.get("envFrom") else ""
    return (
        f"container {container['name']} is given {NAME}: one that its image{also} sets is replaced; say it in "
        f"{PREFIX}pythonpath (empty: there is none)"
    )
