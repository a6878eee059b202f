"""A thin typed client: the questions that Pillion asks Consul, each with a deadline, its errors
translated."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from agent.config.sections.registry import Registry
from agent.registry import login
from agent.registry.endpoint import Endpoint, local_address
from agent.registry.pyconsul import CB, Consul, Response
from agent.registry.selection import Check, Marks, marks
from agent.registry.token import Credentials
from agent.registry.transport import Transport, encode
from agent.runtime.errors import PillionError, Transient

Row = Mapping[str, Any]
"""One unchecked JSON object from Consul."""

DEADLINE = 5.0
"""Seconds for an answer that does not block."""
FOLDER = 8 * 1024 * 1024
"""Bytes of an answer about a folder of KV; what may be in one is less, see ``kv``."""


@contextlib.asynccontextmanager
async def connect(
    settings: Registry, connections: int = 0, token: Credentials | None = None
) -> AsyncIterator["Client"]:
    """A client for the time of the context; nothing is sent yet. Raises Misconfigured, Permanent for a bad
    CA file.

    Registration and reading each get a client of their own, so that neither waits for the other's
    connections; ``token`` lets them share one login.
    """
    async with contextlib.AsyncExitStack() as stack:
        if token is None:
            token = await stack.enter_async_context(login.credentials(settings))
        transport = Transport(Endpoint.parse(settings.address), token, settings.ca_cert, connections)
        stack.push_async_callback(transport.close)
        yield Client(transport)


class Client:
    """Every method raises Transient (away, busy, answer not understood) or Permanent (refused).

    ``index`` and ``wait`` make a read a blocking query as Consul's documentation describes it: with an index
    above 0 the answer comes when something changed or after ``wait`` seconds.
    """

    def __init__(self, transport: Transport) -> None:
        # The host is unused: the transport knows where to go. Given all the same, else py-consul looks into
        # the environment; and the token is emptied afterwards because the environment overrides the
        # argument.
        self._consul = Consul(host="127.0.0.1", port=0, scheme="http", verify=False)
        self._consul.http = transport
        self._consul.token = None
        self._transport = transport
        self._breaks = 0

    @property
    def breaks(self) -> int:
        """How often Consul failed to answer:
        a reader that sees the same number twice missed nothing between.
        """
        return self._breaks

    @property
    def where(self) -> str:
        """Consul's address, for texts."""
        return str(self._transport.endpoint)

    @property
    def credentials(self) -> int:
        """Rises with each other ACL token, 0 without any. Raises Transient or Permanent."""
        return self._transport.token.version

    async def authenticate(self) -> None:
        """Have a token, where one is wanted: afterwards ``credentials`` is that of the next request."""
        await self._ask(self._transport.token.read())

    def hold(self, held: bool) -> None:
        """Note whether Consul's agent uses the token of this client for a registration."""
        self._transport.token.hold(held)

    def broken(self) -> None:
        """Note that what was read before may be gone: an index went backwards."""
        self._breaks += 1

    async def local_address(self) -> str:
        """The local IP address of connections to Consul."""
        return await local_address(self._transport.endpoint)

    async def agent_address(self) -> str:
        """The address under which Consul's own agent is a member of its cluster."""
        found = await self._ask(self._consul.agent.self())
        address = _object(_object(found).get("Member")).get("Addr")
        return address if isinstance(address, str) else ""

    async def agent_name(self) -> tuple[str, bool]:
        """What the Consul agent that answers is called, and whether it is a server."""
        config = await self._config()
        name = config.get("NodeName")
        if not isinstance(name, str) or not name:
            raise Transient("Consul's agent did not tell its name: is this its HTTP port?")
        return name, bool(config.get("Server"))

    async def version(self) -> str:
        """The version of Consul's agent."""
        version = (await self._config()).get("Version")
        return version if isinstance(version, str) else "unknown"

    async def _config(self) -> Row:
        return _object(_object(await self._ask(self._consul.agent.self())).get("Config"))

    async def leader(self) -> str:
        """The address of the server that leads, empty while nobody does."""
        found = await self._ask(self._get("/v1/status/leader"))
        return found if isinstance(found, str) else ""

    async def servers(self) -> int:
        """How many servers the cluster has."""
        return len(_rows(await self._ask(self._get("/v1/status/peers"))))

    async def service(self, instance: str) -> Row | None:
        """What Consul's agent has registered under the id, None when nothing."""
        found = await self._ask(self._consul.agent.service_definition(instance))
        return None if found is None else _object(found)

    async def register(self, definition: Mapping[str, Any]) -> None:
        """Register or replace; ``definition`` in Consul's JSON form, see ``definition.build``."""
        await self._ask(
            self._consul.agent.service.register(
                definition["Name"],
                service_id=definition["ID"],
                address=definition["Address"],
                port=definition["Port"],
                tags=definition["Tags"],
                meta=definition["Meta"],
                check=definition["Check"],
                replace_existing_checks=True,
            )
        )

    async def deregister(self, instance: str) -> bool:
        """Remove the instance; False when Consul did not know it."""
        return bool(await self._ask(self._consul.agent.service.deregister(instance)))

    async def tell(self, check: str, passing: bool, note: str) -> bool:
        """Feed the TTL check; False when Consul does not know it (any more)."""
        report = self._consul.agent.check.ttl_pass if passing else self._consul.agent.check.ttl_fail
        return bool(await self._ask(report(check, notes=note)))

    async def instances(self, service: str, index: int = 0, wait: float = 0) -> tuple[int, list[Any]]:
        """All instances of a service with their checks, whatever their state."""
        return await self._read(self._consul.health.service(service, index=index, wait=_wait(wait)), wait)

    async def led(self, service: str) -> tuple[int, list[Any]]:
        """The same at once from the leader of Consul's servers, who is never behind; else ``discovery_max_stale`` of a
        Consul agent lets any server answer."""
        asked = self._transport.get(_answer, f"/v1/health/service/{service}", [("leader", "1")])
        return await self._read(asked, 0)

    async def newer(self, service: str, known: int) -> tuple[int, list[Any] | None]:
        """The same at once; None when the index is ``known``, which says that nothing changed since."""
        asked = self._transport.get(_answer, f"/v1/health/service/{service}", known=known)
        index, found = await self._indexed(asked, 0)
        return index, None if index == known and found is None else _rows(found)

    async def services(self, index: int = 0, wait: float = 0) -> tuple[int, list[str]]:
        """The names of all registered services."""
        new, found = await self._indexed(self._consul.catalog.services(index=index, wait=_wait(wait)), wait)
        return new, sorted(_object(found))

    async def checks(self, index: int = 0, wait: float = 0) -> tuple[int, Marks | None]:
        """All checks of the datacentre in any state, as far as they tell which services changed.

        None when the index is that of the question: of such an answer nothing is read, for it comes every 30 s and has
        500 bytes a check.
        """
        params = [("index", str(index)), ("wait", _wait(wait))] if index else []
        asked = self._transport.get(_marks, "/v1/health/state/any", params, known=index)
        return await self._indexed(asked, wait)

    async def values(self, prefix: str, index: int = 0, wait: float = 0) -> tuple[int, list[Any]]:
        """All keys that begin with the prefix, each with its ``Value`` as bytes or None; Transient when the token
        may not see all of them, or when they are too large."""
        params = [("recurse", "1"), *([("index", str(index)), ("wait", _wait(wait))] if index else [])]
        asked = self._transport.get(_pairs, f"/v1/kv/{prefix}", params, limit=FOLDER)
        return await self._indexed(asked, wait)

    async def row(self, key: str, index: int = 0, wait: float = 0) -> tuple[int, Row | None]:
        """One key with its ``Value``, as bytes or None, and the ``Session`` that holds it, None when there is none."""
        new, found = await self._indexed(self._consul.kv.get(key, index=index, wait=_wait(wait)), wait)
        return new, None if found is None else _object(found)

    async def put(self, path: str, body: str | bytes = "", params: Sequence[tuple[str, str]] = ()) -> Any:
        """A write at the HTTP API: the JSON of the answer, None for a 404."""
        return await self._ask(self._transport.put(_written, path, params, body))

    async def value(self, key: str, index: int = 0, wait: float = 0) -> tuple[int, bytes | None]:
        """One key's value, None when there is no such key."""
        new, found = await self.row(key, index, wait)
        value = b"" if found is None else found.get("Value")
        return new, None if found is None else value if isinstance(value, bytes) else b""

    async def entries(self, service: str, instance: str) -> list[Row]:
        """The catalogue's entries of one instance, on whatever nodes, with their checks; Transient when the token may
        not see all of them."""
        chosen = [("filter", f'Service.ID == "{instance}"')]
        found = _rows(await self._ask(self._whole(f"/v1/health/service/{service}", chosen)))
        return [_object(one) for one in found]

    async def listed(self, service: str, instance: str) -> bool:
        """Whether the servers' catalogue has an instance; Transient when the token may not see it."""
        chosen = [("filter", f'ServiceID == "{instance}"')]
        return bool(_rows(await self._ask(self._whole(f"/v1/catalog/service/{service}", chosen))))

    async def node(self, name: str) -> Row | None:
        """A node of the catalogue, None when there is no such one."""
        found = _object(await self._ask(self._get(f"/v1/catalog/node-services/{name}")) or {}).get("Node")
        return None if found is None else _object(found)

    async def nodes(self, expression: str) -> list[Row]:
        """The catalogue's nodes to which Consul's filter expression applies; Transient when the token may not
        see all of them."""
        found = _rows(await self._ask(self._whole("/v1/catalog/nodes", [("filter", expression)])))
        return [_object(one) for one in found]

    async def on_node(self, name: str) -> list[Row]:
        """The services that the catalogue has on a node; none when there is no such node; Transient when the
        token may not see all of them."""
        found = _object(await self._ask(self._whole(f"/v1/catalog/node-services/{name}")) or {})
        return [_object(one) for one in _rows(found.get("Services") or [])]

    async def birth(self, node: str) -> int:
        """When the catalogue got a node, in Consul's own count; 0 when there is no such node."""
        found = _object(await self._ask(self._get(f"/v1/catalog/node-services/{quote(node, safe='')}")) or {})
        index = _object(found.get("Node") or {}).get("CreateIndex")
        return index if type(index) is int else 0

    async def enter(self, entry: Mapping[str, Any]) -> None:
        """Write node, service or check into the catalogue, in the form of ``/v1/catalog/register``."""
        await self._ask(self._consul.http.put(CB.boolean(), "/v1/catalog/register", data=encode(entry)))

    async def strike(self, node: str, instance: str = "") -> None:
        """Take an instance out of the catalogue, or the node with all that is on it; nothing there is no error."""
        entry = {"Node": node, **({"ServiceID": instance} if instance else {})}
        await self._ask(self._consul.http.put(CB.boolean(), "/v1/catalog/deregister", data=encode(entry)))

    def _get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> Awaitable[Any]:
        asked: Awaitable[Any] = self._consul.http.get(CB.json(), path, params)
        return asked

    def _whole(self, path: str, params: Sequence[tuple[str, str]] = ()) -> Awaitable[Any]:
        asked: Awaitable[Any] = self._consul.http.get(_unfiltered, path, params)
        return asked

    async def identity(self) -> str:
        """What names the datastore behind Consul: its trust domain, made anew with an empty store; empty
        when unknown.

        Source: Consul's documentation of the CA roots (the trust domain is derived from the cluster's id). A
        cluster with Connect switched off has none. Never raises.
        """
        with contextlib.suppress(PillionError):
            async with asyncio.timeout(DEADLINE):
                found = await self._consul.http.get(CB.json(), "/v1/connect/ca/roots")
            domain = _object(found).get("TrustDomain")
            return domain if isinstance(domain, str) else ""
        return ""

    async def plain(self, path: str) -> Response:
        """A GET as it came."""
        found: Response = await self._ask(self._transport.get(_as_it_came, path))
        return found

    async def sent(self, path: str, body: str) -> Any:
        """A POST's JSON."""
        return await self._ask(self._transport.post(CB.json(), path, data=body))

    async def _read(self, asked: Awaitable[Any], wait: float) -> tuple[int, list[Any]]:
        new, found = await self._indexed(asked, wait)
        return new, _rows(found)

    async def _indexed(self, asked: Awaitable[Any], wait: float) -> tuple[int, Any]:
        # Consul adds up to a sixteenth to the wait, so that not all readers come back at once.
        index, found = await self._ask(asked, DEADLINE + wait * 17 / 16)
        try:
            return int(index), found
        except (TypeError, ValueError) as error:
            raise Transient(f"Consul {self.where} answered without a usable index") from error

    async def _ask(self, asked: Awaitable[Any], within: float = DEADLINE) -> Any:
        try:
            async with asyncio.timeout(within):
                return await asked
        except TimeoutError as error:
            self._breaks += 1
            raise Transient(f"Consul {self.where} did not answer within {within:.0f} s") from error
        except Transient:
            self._breaks += 1
            raise


def _unfiltered(response: Response) -> Any:
    """The JSON of an answer from which Consul left nothing out.

    Source: Consul's documentation of its HTTP API, "Filtered results": what a token may not read is missing
    without an error, and a header says so.
    """
    if _filtered(response):
        raise Transient(
            "the holder of registry.token sees only a part of Consul's catalogue: "
            "give it read on all nodes and services"
        )
    return CB.json()(response)


def _filtered(response: Response) -> bool:
    told: str = response.headers.get("X-Consul-Results-Filtered-By-ACLs", "")
    return told.lower() == "true"


def _pairs(response: Response) -> tuple[str, list[Any]]:
    """Index and rows of a folder of KV. A right that was taken away is not to look like keys that were deleted."""
    if _filtered(response):
        raise Transient(
            "the holder of registry.token sees only a part of the folder: give it key_prefix read on all of it"
        )
    rows = [] if response.code == 404 else _rows(CB.json()(response))
    for row in rows:
        value = row.get("Value")
        row["Value"] = None if value is None else base64.b64decode(value, validate=True)
    return response.headers["X-Consul-Index"], rows


def _written(response: Response) -> Any:
    return None if response.code == 404 else json.loads(response.body)


def _as_it_came(response: Response) -> Response:
    return response


def _answer(response: Response) -> tuple[str, Any]:
    """Index and content, None where that was left unread."""
    return response.headers["X-Consul-Index"], None if response.body is None else CB.json()(response)


def _marks(response: Response) -> tuple[str, Marks | None]:
    """Index and checks, None where these were left unread. Raises KeyError or ValueError for what is no answer of
    Consul's."""
    if response.body is None:
        return response.headers["X-Consul-Index"], None
    # One by one: 10,000 checks as objects at the same time would leave holes in memory.
    return response.headers["X-Consul-Index"], marks(map(_CHECK.decode, _CHECKS.decode(response.body)))


_CHECKS = msgspec.json.Decoder(list[msgspec.Raw])
_CHECK = msgspec.json.Decoder(Check)


def _wait(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms"


def _object(value: Any) -> Row:
    if not isinstance(value, dict):
        raise Transient("Consul answered with something other than an object: is this its HTTP port?")
    return value


def _rows(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Transient("Consul answered with something other than a list: is this its HTTP port?")
    return value
