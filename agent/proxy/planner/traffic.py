"""How requests to one upstream are treated: ``traffic``, what the upstream changes, what its path prefixes
change."""

from dataclasses import dataclass

from agent.config.sections.traffic import Path, Traffic, Upstream
from agent.config.settings import Settings
from agent.config.upstream import paths_for, traffic_for
from agent.model.version import Version
from agent.versions.plan import Policy


@dataclass(frozen=True)
class Handling:
    """Timeouts and retries of the requests below one path prefix."""

    prefix: str
    """``/`` for all the rest."""
    timeout: float
    per_try: float
    idle: float
    retries: int


@dataclass(frozen=True)
class Treatment:
    """All that the settings say of requests to one upstream."""

    traffic: Traffic
    handlings: tuple[Handling, ...]
    """The longest prefix first, ``/`` last."""
    policy: Policy
    pin: Version | None
    """Given to requests that name no version; None: the service's default."""
    zoned: bool
    """The caller has a zone, so that instances may have two priorities."""


def treatment(settings: Settings, name: str) -> Treatment:
    """What holds for one upstream: its own entry over that of ``*`` over ``traffic``, setting by setting and
    path prefix by path prefix; the version only as a whole. The settings were checked before."""
    traffic = traffic_for(settings, name)
    upstream = settings.upstreams.get(name) or settings.upstreams.get("*") or Upstream()
    return Treatment(
        traffic,
        _handlings(paths_for(settings, name), traffic),
        settings.versions.policy,
        Version.parse(upstream.version) if upstream.version else None,
        bool(settings.service.zone),
    )


def _handlings(paths: dict[str, Path], traffic: Traffic) -> tuple[Handling, ...]:
    root = paths.pop("/", Path(prefix="/"))
    longest = sorted(paths.items(), key=lambda item: (-len(item[0]), item[0]))
    return tuple(_handling(prefix, path, traffic) for prefix, path in [*longest, ("/", root)])


def _handling(prefix: str, path: Path, traffic: Traffic) -> Handling:
    return Handling(
        prefix,
        traffic.timeout if path.timeout is None else path.timeout,
        traffic.per_try_timeout if path.per_try_timeout is None else path.per_try_timeout,
        traffic.idle_timeout if path.idle_timeout is None else path.idle_timeout,
        traffic.retries if path.retries is None else path.retries,
    )
