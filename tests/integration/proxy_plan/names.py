"""Asking a DNS listener, and a resolver behind it that remembers what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from agent.demo import backing


async def ask(
    server: str, name: str, kind: str = "A", *, timeout: float = 30.0, edns: int | bool = False
) -> dns.message.Message:
    """The answer to one query over UDP; ``server`` is HOST:PORT."""
    host, _, port = server.rpartition(":")
    query = dns.message.make_query(name, kind, use_edns=edns)
    return await dns.asyncquery.udp(query, host, port=int(port), timeout=timeout)


def values(answer: dns.message.Message) -> list[str]:
    """The data of all records that answer the question, ordered."""
    return sorted(record.to_text() for rrset in answer.answer for record in rrset)


def rcode(answer: dns.message.Message) -> str:
    """NOERROR, NXDOMAIN and so on."""
    return dns.rcode.to_text(answer.rcode())


class Elsewhere(asyncio.DatagramProtocol):
    """A resolver with a table of A records, by lower-case name.

    ``silent`` answers nothing; names that do not end in ``zone`` are refused.
    """

    def __init__(self, table: Mapping[str, str], *, silent: bool = False, zone: str = "") -> None:
        self.table = table
        self.silent = silent
        self.zone = zone
        self.asked: list[tuple[str, str]] = []
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the way back."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer like Consul's DNS: names without regard to case, no record of another type."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text().rstrip(".")
        self.asked.append((name, dns.rdatatype.to_text(question.rdtype)))
        if self.silent:
            return
        answer = dns.message.make_response(query)
        found = self.table.get(name.lower())
        if not name.lower().endswith(self.zone):
            answer.set_rcode(dns.rcode.REFUSED)
        elif found is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            answer.answer.append(dns.rrset.from_text(question.name, 7, "IN", "A", found))
        self._transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def elsewhere(
    table: Mapping[str, str], *, silent: bool = False, zone: str = ""
) -> AsyncIterator[Elsewhere]:
    """Such a resolver on a free local port."""
    port = backing.free_port()
    transport, found = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Elsewhere(table, silent=silent, zone=zone), local_addr=("127.0.0.1", port)
    )
    found.address = f"127.0.0.1:{port}"
    try:
        yield found
    finally:
        transport.close()
