"""Secrets are where they are needed and nowhere else, and containers may do no more than they must."""

from tests.compose import layout, vault
from tests.compose.engine import Project
from tests.compose.start import Start
from tests.record import Record

MAKERS = ("secrets", "consul-acl")
"""They hand the secrets out, so they hold them all; both end when that is done."""


def test_each_consumer_alone_can_read_its_secrets(project: Project, started: Start) -> None:
    containers, found = project.containers(), vault.files(project)
    folders = vault.held(containers["secrets"])
    holders: dict[str, list[str]] = {}
    for name, container in containers.items():
        for volume in vault.held(container):
            holders.setdefault(folders[volume], []).append(name)
    assert found
    for folder, names in holders.items():
        inside = [file for file in found if file.path.startswith(f"{folder}/")]
        (consumer,) = [name for name in names if name not in MAKERS] or ["secrets"]
        assert {file.mode for file in inside} == {0o600}, folder
        assert {file.user for file in inside} == vault.users(containers[consumer]), folder


def test_no_secret_shows_anywhere(project: Project, started: Start, record: Record) -> None:
    secrets, texts = vault.values(vault.files(project)), vault.visible(project)
    assert len(secrets) >= 10
    assert min(map(len, secrets.values())) >= 20
    shown = [
        f"{name} in the {where}" for where, text in texts.items() for name in secrets if secrets[name] in text
    ]
    record.section(
        "Secrets", [f"{len(secrets)} secrets looked for in {len(texts)} texts: {len(shown)} found"]
    )
    assert shown == []


def test_everything_is_published_on_this_machine_alone(project: Project, started: Start) -> None:
    published = {
        f"{name} {port} on {binding['HostIp']}"
        for name, container in project.containers().items()
        for port, bindings in container.raw["NetworkSettings"]["Ports"].items()
        for binding in bindings or ()
    }
    assert len(published) >= 9
    assert [one for one in published if not one.endswith(" on 127.0.0.1")] == []
    assert [one for one in published if one.startswith("postgres")] == []


def test_every_container_that_stays_is_confined(project: Project, started: Start) -> None:
    containers = project.containers()
    loose = {name: why for name in layout.LONG_RUNNING if (why := _loose(containers[name].raw["HostConfig"]))}
    assert loose == {}
    assert [name for name in layout.LONG_RUNNING if 0 in vault.users(containers[name])] == []


def _loose(host: dict[str, object]) -> list[str]:
    """What a container is allowed that none should be."""
    wanted = {
        "a root that can be written": not host["ReadonlyRootfs"],
        "capabilities": [name.upper() for name in host["CapDrop"] or ()] != ["ALL"] or bool(host["CapAdd"]),
        "new privileges": not any("no-new-privileges" in option for option in host["SecurityOpt"] or ()),
        "all memory": not host["Memory"],
        "the machine's own names": host["Privileged"] or host["PidMode"] == "host",
        "the machine's network": host["NetworkMode"] == "host",
        "a log without an end": not host["LogConfig"]["Config"].get("max-size"),
    }
    return [what for what, allowed in wanted.items() if allowed]
