"""The group of an Envoy that runs as another user."""

import os
import stat
from pathlib import Path

import msgspec
import pytest

from agent.config import sharing
from agent.config.place import Place
from agent.config.settings import Settings
from agent.runtime.errors import Misconfigured


def settings(group: str) -> Settings:
    return msgspec.convert({"proxy": {"mode": "external", "xds_group": group}}, Settings)


def test_a_group_is_known_by_name_and_by_number() -> None:
    assert sharing.group(settings("")) is None
    assert sharing.group(settings(str(os.getegid()))) == os.getegid()


@pytest.mark.parametrize("name", ["no-such-group", "a\x00b", "99999999999", "-1"])
def test_a_name_that_is_no_group_is_refused_with_the_setting(name: str) -> None:
    with pytest.raises(Misconfigured, match=r"proxy\.xds_group is .*no group of this machine"):
        sharing.group(settings(name))


def test_a_group_of_others_is_refused_unless_the_agent_is_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", lambda: [7])
    with pytest.raises(Misconfigured, match="this user does not belong"):
        sharing.group(settings("4242"))
    assert sharing.group(settings("7")) == 7


def test_the_group_may_pass_the_folder_but_not_look_into_it(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    place = Place(folder, shared=True)
    for _ in range(2):
        sharing.share(place, os.getegid())
        assert stat.S_IMODE(folder.stat().st_mode) == 0o710
        assert stat.S_IMODE(place.sockets.stat().st_mode) == 0o2770
    assert place.xds.parent == place.admin.parent == place.sockets
    assert place.snapshot.parent == folder
