"""The annotations: each is a setting's declaration, or declared here where no setting has it."""

from dataclasses import dataclass
from functools import cache
from typing import Annotated

from agent.config import fields
from agent.config.declare import Section, about
from agent.config.sections.injector import NAME, NAME_FORM
from agent.config.shapes import Group, Member, Named, group_of

PREFIX = "pillion.dev/"

INJECT = f"{PREFIX}inject"
REVISION = f"{PREFIX}revision"
MARKER = f"{PREFIX}injected"
OTHERS = frozenset({INJECT, REVISION, MARKER, f"{PREFIX}settings"})
"""Names below the prefix that are no options; ``settings`` holds the check sum that the chart of a service makes."""

NAME_LABELS = ("app.kubernetes.io/name", "app")
"""Labels that name the service where no annotation does."""

META = "meta-"
"""Annotations that begin so are one option, a pair of Consul's meta each."""


class Own(Section, frozen=True):
    """What only a pod can be told."""

    outbox_database_secret: Annotated[
        str,
        about(
            "Secret in the pod's namespace, mounted as files: `url` is the database's URL, `broker` the broker's "
            "where the outbox-config names none. Empty: none.",
            pattern=f"^({NAME})?$",
            form=NAME_FORM,
        ),
    ] = ""
    outbox_config: Annotated[
        str, about("The section `outbox` of pillion.yaml, as YAML or JSON, without secrets. Empty: none.")
    ] = ""
    pythonpath: Annotated[
        str,
        about(
            "PYTHONPATH of the image (its ENV), which ours would replace: it is put behind ours. Empty: the image "
            "has none, and nothing is warned of.",
            max_length=4096,
            form="folders with : between them",
        ),
    ] = ""
    proxy: Annotated[
        bool,
        about(
            "Give the applications HTTP_PROXY and NO_PROXY, in both cases. `false` leaves them out, for containers "
            "that take their own from envFrom; explicit ports of upstreams remain."
        ),
    ] = True
    config: Annotated[
        str,
        about(
            "ConfigMap in the pod's namespace whose key `pillion.yaml` is the sidecar's file of settings. "
            "Annotations win over it. Empty: none.",
            pattern=f"^({NAME})?$",
            form=NAME_FORM,
        ),
    ] = ""


@dataclass(frozen=True)
class Option:
    """One annotation."""

    name: str
    """Without the prefix; ``meta-*`` stands for all that begin so."""
    key: str
    """The dotted setting that it gives, or the field of ``Own``."""
    member: Member
    own: bool = False

    @property
    def annotation(self) -> str:
        """With the prefix."""
        return f"{PREFIX}{self.name}"

    @property
    def variable(self) -> str:
        """How the sidecar is told: a variable; empty where it is not told or told in another way."""
        return "" if self.own or self.key.startswith("injector.") else fields.by_key()[self.key].variable


_SETTINGS = {
    "service": "service.name",
    "port": "service.port",
    "versions": "versions.serves",
    "routes": "service.routes",
    "health-path": "service.health_path",
    "tags": "service.tags",
    "meta-*": "service.meta",
    "upstreams": "upstreams",
    "carry": "tracing.carry",
    "cpu-request": "injector.resources.cpu_request",
    "cpu-limit": "injector.resources.cpu_limit",
    "memory-request": "injector.resources.memory_request",
    "memory-limit": "injector.resources.memory_limit",
    "log-level": "log.level",
    "image": "injector.image",
}


@cache
def options() -> tuple[Option, ...]:
    """All annotations, in the order in which they are documented."""
    given = [Option(name, key, fields.by_key()[key].member) for name, key in _SETTINGS.items()]
    own = [
        Option(name.replace("_", "-"), name, member, own=True)
        for name, member in group_of(Own).members.items()
    ]
    return (*given, *own)


@cache
def meta() -> Named:
    """What the pairs of Consul's meta may be."""
    shape = fields.by_key()["service.meta"].shape
    assert isinstance(shape, Named)
    return shape


@cache
def outbox() -> Group:
    """What the section `outbox` may hold."""
    shape = fields.shape().members["outbox"].shape
    assert isinstance(shape, Group)
    return shape
