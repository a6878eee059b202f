"""This instance: who it is, whether it is registered and why not, what it serves."""

from collections.abc import Mapping
from typing import Any

from agent.admin.page.markup import EMPTY, Markup, facts, joined, mark, section, tag, words


def shown(status: Mapping[str, Any]) -> Markup:
    """The first part of the page."""
    agent = status["agent"]
    rows = [
        ("registered in Consul", _registered(status)),
        ("check", _check(status)),
        ("service", _service(status.get("service"))),
        ("versions", status["versions"].get("this instance", "")),
        ("routes", words(status.get("routes", ()))),
        ("Envoy", _envoy(status["envoy"])),
        ("carry hook", _hook(status.get("hook"))),
        ("configuration for it", words(status.get("store", {}).get("keys", ()))),
        ("addresses", words(status["ports"])),
        ("Pillion", words({key: value for key, value in agent.items() if key in {"version", "pid"}})),
    ]
    title = "This instance" if "registration" in status else "This gateway"
    return section(title, facts(rows), name="instance")


def _registered(status: Mapping[str, Any]) -> Markup:
    registration = status.get("registration")
    if registration is None:
        return EMPTY
    if registration["registered"] and not registration["problem"]:
        return mark("yes", "ok")
    word = mark("yes, but", "warn") if registration["registered"] else mark("no", "bad")
    return joined((word, " ", registration["problem"] or "not told to Consul yet"))


def _check(status: Mapping[str, Any]) -> Markup:
    verdict = status.get("verdict")
    if verdict is None:
        return EMPTY
    passing = verdict["passing"]
    return joined(
        (mark("passing", "ok") if passing else mark("critical", "bad"), " ", words(verdict.get("note")))
    )


def _service(health: Mapping[str, Any] | None) -> Markup:
    if health is None:
        return EMPTY
    word = mark("healthy", "ok") if health["healthy"] else mark("not healthy", "bad")
    return joined((word, " ", words(health["detail"])))


def _envoy(envoy: Mapping[str, Any]) -> Markup:
    word = mark("connected", "ok") if envoy["connected"] else mark("not connected", "bad")
    said = [word, f" configuration in force: {envoy['in_force'][:12] or 'none'}"]
    if envoy["sent"] != envoy["in_force"]:
        said.append(f"; newest: {envoy['sent'][:12] or 'none'}")
    refused = [
        tag("p", mark(f"refused {one['type']}", "bad"), " ", words(one["message"]))
        for one in envoy["refusals"]
    ]
    return joined((*said, *refused))


def _hook(hook: Mapping[str, Any] | None) -> Markup:
    if hook is None:
        return EMPTY
    kind = {"yes": "ok", "no": "warn"}.get(hook["active"], "plain")
    said = (
        hook.get("problem")
        or f"{hook.get('with_hook', 0)} of {hook.get('answers', 0)} answers had its header"
    )
    return joined((mark(f"active: {hook['active']}", kind), " ", said))
