"""Every single setting with its names, derived from the declarations."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from agent.config.settings import Settings
from agent.config.shapes import Group, Member, Shape, group_of

PREFIX = "PILLION_"


@dataclass(frozen=True)
class Setting:
    """One setting that has a value of its own."""

    key: str
    """Dotted, as in the file: ``service.health_path``."""
    heading: str
    """What its section is about, in one sentence."""
    member: Member

    @property
    def shape(self) -> Shape:
        """What its value may be."""
        return self.member.shape

    @property
    def flag(self) -> str:
        """``--service-health-path``; empty for a secret, since a process list shows flags."""
        return "" if self.member.secret else "--" + self.key.replace(".", "-").replace("_", "-")

    @property
    def variable(self) -> str:
        """``PILLION_SERVICE_HEALTH_PATH``."""
        return PREFIX + self.key.replace(".", "_").upper()

    @property
    def section(self) -> str:
        """The outermost section: ``service``."""
        return self.key.partition(".")[0]

    @property
    def file_key(self) -> str:
        """For a secret, the key of the setting that names a file with its value; else empty."""
        return f"{self.key}_file" if self.member.secret else ""


@cache
def shape() -> Group:
    """The shape of all settings together."""
    return group_of(Settings)


@cache
def all_settings() -> tuple[Setting, ...]:
    """All settings in the order of their declarations."""
    return tuple(_walk(shape(), "", ""))


@cache
def by_key() -> dict[str, Setting]:
    """All settings by their dotted keys."""
    return {setting.key: setting for setting in all_settings()}


@cache
def secret_variables() -> frozenset[str]:
    """The variables from which Pillion reads secrets: nothing that an agent starts is to inherit them."""
    secrets = [setting for setting in all_settings() if setting.member.secret]
    return frozenset(name for one in secrets for name in (one.variable, *one.member.aliases))


def value(settings: Settings, key: str) -> object:
    """The value of the setting ``key`` in ``settings``."""
    found: object = settings
    for part in key.split("."):
        found = getattr(found, part)
    return found


def _walk(group: Group, prefix: str, heading: str) -> Iterator[Setting]:
    for name, member in group.members.items():
        key = f"{prefix}{name}"
        if isinstance(member.shape, Group):
            yield from _walk(member.shape, f"{key}.", first_sentence(member.shape.cls.__doc__ or ""))
        else:
            yield Setting(key, heading, member)


def first_sentence(text: str) -> str:
    """The first line of a docstring without its full stop."""
    return text.strip().split("\n", 1)[0].rstrip(".")
