"""Redis Streams. An event is acknowledged when XADD has answered with its entry's id.

Each topic is a stream of its own, in which an entry's fields are the CloudEvents attributes and ``data``. No
stream is ever trimmed here: an entry that nobody read would be lost.
Sources: Redis documentation, XADD, INFO, CONFIG GET, "Redis persistence", "Key eviction", WAIT.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import unquote, urlsplit

from agent.config.secret import Secret
from agent.config.sections.outbox import Broker as Settings
from agent.outbox.brokers import Link, Outcomes, tls
from agent.outbox.brokers.durable import demand
from agent.outbox.brokers.entries import Encoder
from agent.outbox.brokers.redis_wire import Refusal, Reply, Wire, packed
from agent.outbox.events import Event, RefusedError
from agent.runtime.errors import Misconfigured, Permanent, Problem, Transient

MOST = 64 * 1048576
"""Bytes of the largest event, where the server would take half a gigabyte: the agent holds it in memory."""
_LEAST = 1048576
_HEADROOM = 65536
_BATCH = -1
"""The number of what waits for replicas."""
_ENTRY = re.compile(rb"[0-9]+-[0-9]+")
_CLUSTER = "it is a member of a Redis Cluster, which is not supported; name a Redis that is none"
_ACCESS = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})
_MAY_PASS: Mapping[str, str] = {
    "OOM": "its memory is full (maxmemory)",
    "LOADING": "it is still loading its data",
    "READONLY": "it is a replica, which takes no writes; name its primary",
    "MASTERDOWN": "it is a replica whose primary is away",
    "MISCONF": "it can't write to its disk",
    "NOREPLICAS": "fewer replicas follow it than its min-replicas-to-write",
    "BUSY": "a script keeps it busy",
    "NOAUTH": "it wants a user and a password; see outbox.broker.url",
    "MOVED": _CLUSTER,
    "ASK": _CLUSTER,
    "CLUSTERDOWN": _CLUSTER,
    "TRYAGAIN": _CLUSTER,
}


@dataclass(frozen=True)
class Server:
    """What a URL names; the secrets never appear in a text."""

    host: str
    port: int
    tls: bool
    database: int
    credentials: tuple[str, ...] = field(repr=False)
    """What AUTH is told: nothing, a password, or a user and a password."""

    @classmethod
    def parse(cls, url: str) -> "Server":
        """Read ``redis://[[user]:password@]host[:port][/database]``, or the same with ``rediss`` for TLS;
        raises ValueError without the URL."""
        try:
            parts = urlsplit(url)
            port = parts.port or 6379
        except ValueError:
            # The library's words hold what stands before the host, and with it the password.
            raise ValueError("is no URL that can be read") from None
        database = parts.path.strip("/") or "0"
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("is not redis://HOST:PORT/DATABASE or rediss://HOST:PORT/DATABASE")
        if not re.fullmatch(r"[0-9]{1,5}", database):
            raise ValueError("has a database that is no number")
        given = (unquote(parts.username or ""), unquote(parts.password or ""))
        if given[0] and not given[1]:
            raise ValueError("has a user and no password")
        credentials = tuple(each for each in given if each)
        return cls(parts.hostname, port, parts.scheme == "rediss", int(database), credentials)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def make(settings: Settings, service: str, *, durable: bool = False) -> "Redis":  # noqa: ARG001 - all are made alike
    """The broker of these settings; raises Misconfigured."""
    try:
        Server.parse(settings.url)
    except ValueError as error:
        raise Misconfigured([Problem("outbox.broker.url", str(error))]) from None
    return Redis(
        Secret.of(settings, "outbox.broker.url").read,
        create=settings.create,
        replicas=settings.replicas,
        timeout=settings.timeout,
        secured=partial(tls.context, settings.ca_cert),
        durable=durable,
    )


class Redis:
    """A Redis server, or a primary with its replicas."""

    name = "redis"

    def __init__(
        self,
        url: Callable[[], str],
        *,
        create: bool,
        timeout: float,
        replicas: int = 0,
        secured: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        durable: bool = False,
    ) -> None:
        """``url`` is asked whenever a link is made, so that changed credentials count, and ``secured`` for
        what TLS is spoken with. An event counts as stored when so many ``replicas`` have it too. ``durable``: a server
        that may lose what it answered, or may not be looked at, is refused."""
        self._durable = durable
        self._url = url
        self._replicas = replicas
        self._create = create
        self._timeout = timeout
        self._secured = secured

    @asynccontextmanager
    async def link(self, outcomes: Outcomes, topics: frozenset[str]) -> AsyncIterator[Link]:
        """See ``brokers.Broker.link``."""
        try:
            server = Server.parse(self._url())
        except ValueError as error:
            raise Transient(f"connecting to Redis: outbox.broker.url {error}") from None
        link = Streams(outcomes, Encoder(create=self._create), self._timeout, self._replicas)
        try:
            try:
                async with asyncio.timeout(self._timeout):
                    await self._open(link, server, topics)
            except TimeoutError:
                raise Transient(
                    f"connecting to Redis at {server}: no answer within {self._timeout:g} s"
                ) from None
            yield link
        finally:
            link.wire.close()

    async def _open(self, link: "Streams", server: Server, topics: frozenset[str]) -> None:
        wire = link.wire
        await wire.open(server.host, server.port, self._secured() if server.tls else None)
        doing = f"connecting to Redis at {server}"
        if server.credentials:
            taken(doing, await wire.ask("AUTH", *server.credentials))
        if server.database:
            taken(doing, await wire.ask("SELECT", str(server.database)))
        taken(doing, await wire.ask("PING"))
        facts = await look(wire)
        self._check(doing, facts)
        if self._durable:
            demand(doing, losses(facts, self._replicas))
        link.largest = largest(facts)
        link.warnings = warnings(facts, self._replicas)
        await self._find(wire, topics)

    def _check(self, doing: str, facts: Mapping[str, str]) -> None:
        if facts.get("cluster_enabled") == "1":
            raise Permanent(f"{doing}: {_CLUSTER}")
        if facts.get("role", "master") != "master":
            raise Transient(f"{doing}: {_MAY_PASS['READONLY']}")
        found = re.match(r"(\d+)\.(\d+)", facts.get("redis_version", ""))
        if found and (int(found[1]), int(found[2])) < (6, 2) and not self._create:
            raise Permanent(f"{doing}: before Redis 6.2 streams are always made; set outbox.broker.create")

    async def _find(self, wire: Wire, topics: frozenset[str]) -> None:
        # A pattern's topics are not known yet: an event whose stream is missing is refused.
        for topic in sorted(each for each in topics if not set(each) & set("*>")):
            if not self._create and await wire.ask("EXISTS", topic) == 0:
                raise Permanent(
                    f"looking for the Redis stream {topic}: there is none; make it (XGROUP CREATE with "
                    f"MKSTREAM), or set outbox.broker.create"
                )


class Streams:
    """A link to one server."""

    def __init__(self, outcomes: Outcomes, encoder: Encoder, timeout: float, replicas: int = 0) -> None:
        self.warnings: tuple[str, ...] = ()
        self.largest = _LEAST - _HEADROOM
        self._encoder = encoder
        self._outcomes = outcomes
        self._timeout = timeout
        self._replicas = replicas
        self._batch = False
        self._stored: list[int] = []
        """Events that the primary has and replicas may not have yet."""
        patience = str(max(1, int(timeout * 800))).encode()
        self._wait = packed(b"WAIT", str(replicas).encode(), patience)
        self._loop = asyncio.get_running_loop()
        self.wire = Wire(self._answered, outcomes.lost)

    def send(self, number: int, event: Event) -> None:
        """See ``brokers.Link.send``."""
        if len(event.body) > self.largest:
            raise RefusedError(f"its body of {len(event.body)} bytes is larger than Redis takes")
        command = self._encoder.command(event)
        if self._replicas and not self._batch:
            # One for all that is sent in this turn of the loop; asked for first, so that it leaves with them.
            self._batch = True
            self._loop.call_soon(self._end_batch)
        self.wire.send(number, command)

    def _end_batch(self) -> None:
        self._batch = False
        self.wire.send(_BATCH, self._wait)

    async def answers(self) -> bool:
        """See ``brokers.Link.answers``."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self.wire.ask("PING") == b"PONG"
        except (Transient, TimeoutError):
            return False

    def _answered(self, number: int, reply: Reply) -> None:
        if number == _BATCH:
            self._replicated(reply)
        elif isinstance(reply, bytes) and _ENTRY.fullmatch(reply):
            if self._replicas:
                self._stored.append(number)
            else:
                self._outcomes.acknowledged(number)
        elif isinstance(reply, Refusal) and (reason := passing(reply)):
            self.wire.close()
            self._outcomes.lost(reason)
        else:
            # What is known of it is about its topic.
            self._outcomes.refused(number, refused(reply), own=False)

    def _replicated(self, reply: Reply) -> None:
        if isinstance(reply, int) and reply >= self._replicas:
            stored, self._stored = self._stored, []
            for number in stored:
                self._outcomes.acknowledged(number)
            return
        said = (
            f"{reply} of {self._replicas} replicas have it" if isinstance(reply, int) else "no number comes"
        )
        said = reply.code if isinstance(reply, Refusal) else said
        self.wire.close()
        self._outcomes.lost(f"Redis says to WAIT: {said}; see outbox.broker.replicas")


def passing(refusal: Refusal) -> str:
    """Why the server takes nothing now, though it may later; empty where it is this event that it refuses."""
    if refusal.code == "NOPERM" and b"command" in refusal.words:
        return "Redis says: the user has no right to XADD; see outbox.broker.url (NOPERM)"
    if refusal.code in _MAY_PASS:
        return f"Redis says: {_MAY_PASS[refusal.code]} ({refusal.code})"
    # What is not known may be about the server as well as the event: only the latter is a reason to stop it.
    return "" if refusal.code in ("ERR", "WRONGTYPE", "NOPERM") else f"Redis says {refusal.code}"


def refused(reply: Reply) -> str:
    """Why an event was not taken."""
    if reply is None:
        return "there is no stream of its topic; make it or set outbox.broker.create"
    if not isinstance(reply, Refusal):
        return "Redis answered with something else than an entry's id"
    known = {
        "WRONGTYPE": "its topic is a key that is no stream (WRONGTYPE)",
        "NOPERM": "the user has no right to its topic (NOPERM)",
    }
    return f"Redis says: {known.get(reply.code, f'it is not taken ({reply.code})')}"


def taken(doing: str, reply: Reply) -> None:
    """Raise Transient or Permanent for an error reply."""
    if not isinstance(reply, Refusal):
        return
    if reply.code in _ACCESS or b"AUTH" in reply.words:
        raise Permanent(
            f"{doing}: it does not take the user and password of outbox.broker.url ({reply.code})"
        )
    if b"DB index" in reply.words:
        raise Permanent(f"{doing}: it has no database of the number in outbox.broker.url")
    raise Transient(f"{doing}: {_MAY_PASS.get(reply.code, f'the server says {reply.code}')}")


async def look(wire: Wire) -> dict[str, str]:
    """What INFO and CONFIG GET tell of durability and limits; what the user may not ask is absent."""
    facts: dict[str, str] = {}
    info = await wire.ask("INFO")
    if isinstance(info, bytes):
        pairs = (line.partition(":") for line in info.decode(errors="replace").splitlines())
        facts.update((name, value) for name, colon, value in pairs if colon)
        facts["online"] = str(
            sum("state=online" in value for name, value in facts.items() if name[:5] == "slave")
        )
    for name in ("appendfsync", "proto-max-bulk-len", "client-query-buffer-limit"):
        match await wire.ask("CONFIG", "GET", name):
            case [bytes(), bytes(value)]:
                facts[name] = value.decode(errors="replace")
    return facts


def largest(facts: Mapping[str, str]) -> int:
    """Bytes of the largest body that the server takes."""
    given = [facts.get(name, "") for name in ("proto-max-bulk-len", "client-query-buffer-limit")]
    limits = [max(int(each), _LEAST) for each in given if each.isdecimal() and int(each)]
    return min([MOST, *limits]) - _HEADROOM


def warnings(facts: Mapping[str, str], replicas: int = 0) -> tuple[str, ...]:
    """What makes XADD's answer less durable than it sounds, where so many replicas are waited for."""
    if facts.get("online") == "0":
        return (
            *losses(facts, replicas),
            "no replica follows Redis: a lost disk loses events; add a replica",
        )
    return losses(facts, replicas)


def losses(facts: Mapping[str, str], replicas: int = 0) -> tuple[str, ...]:
    """Why what XADD answered may be lost though the server's disk is not, or why nothing is known of it."""
    found = []
    if "aof_enabled" not in facts:
        found.append("how Redis keeps events can't be looked at; let the user ask INFO and CONFIG GET")
    elif facts["aof_enabled"] != "1":
        found.append("Redis keeps no append-only file: a restart loses events; set appendonly yes")
    elif facts.get("appendfsync") != "always":
        found.append(
            "Redis answers before its append-only file is on the disk: a crash of its machine loses events; "
            "set appendfsync always"
        )
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and facts.get("maxmemory", "0") != "0":
        found.append(f"a full Redis may drop whole streams ({policy}); set maxmemory-policy noeviction")
    if facts.get("online", "0") != "0" and not replicas:
        found.append(
            "no replica is waited for: when one takes over, what it had not got yet is lost; "
            "set outbox.broker.replicas"
        )
    return tuple(found)
