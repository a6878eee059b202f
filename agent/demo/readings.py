"""What the servers know: Consul's catalogue and DNS, Jaeger's traces, the broker's newest event."""

import asyncio
import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dns.asyncquery
import dns.message
import dns.rdatatype
import nats
import nats.errors

from agent.demo import backing


def asking(token: str) -> dict[str, str]:
    """The headers of a request to Consul with a token, which may be empty."""
    return {"X-Consul-Token": token} if token else {}


async def fetch(url: str, headers: Mapping[str, str] | None = None) -> Any:
    """The JSON that a server answers. Raises OSError, ValueError."""
    request = urllib.request.Request(url, headers=dict(headers or {}))

    def read() -> Any:
        with backing.direct().open(request, timeout=5) as response:
            return json.load(response)

    return await asyncio.to_thread(read)


async def passing(consul: str, service: str, token: str = "") -> list[dict[str, Any]]:
    """The instances of a service whose checks all pass, as Consul describes a service."""
    entries = await fetch(f"{consul}/v1/health/service/{service}?passing=1", asking(token))
    return [entry["Service"] for entry in entries]


@dataclass(frozen=True)
class Span:
    """One span as Jaeger's API gives it."""

    id: str
    parent: str
    service: str
    tags: dict[str, str]


async def trace(jaeger: str, number: str) -> list[Span]:
    """The spans that Jaeger has of a trace by now, none when it does not know it. Raises OSError."""
    try:
        data = (await fetch(f"{jaeger}/api/traces/{number}"))["data"]
    except OSError:
        return []
    return [
        Span(
            id=span["spanID"],
            parent=next((reference["spanID"] for reference in span["references"]), ""),
            service=found["processes"][span["processID"]]["serviceName"],
            tags={tag["key"]: str(tag["value"]) for tag in span["tags"]},
        )
        for found in data
        for span in found["spans"]
    ]


@dataclass(frozen=True)
class Event:
    """A CloudEvent as the broker holds it."""

    headers: dict[str, str]
    body: str


async def newest(url: str, stream: str, subject: str) -> Event | None:
    """The newest message of a subject in a JetStream stream, None when there is none yet."""
    client = await nats.connect(url, allow_reconnect=False)
    try:
        message = await client.jetstream().get_last_msg(stream, subject)
    except nats.errors.Error:
        return None
    finally:
        await client.close()
    return Event(dict(message.headers or {}), (message.data or b"").decode())


async def event(url: str, stream: str, subject: str, identity: str) -> Event | None:
    """The message of a subject with that event id, among the last hundred of the stream; None without it."""
    client = await nats.connect(url, allow_reconnect=False)
    try:
        jetstream = client.jetstream()
        last = (await jetstream.stream_info(stream)).state.last_seq
        for number in range(last, max(last - 100, 0), -1):
            message = await jetstream.get_msg(stream, number)
            headers = dict(message.headers or {})
            if message.subject == subject and headers.get("ce-id") == identity:
                return Event(headers, (message.data or b"").decode())
    except nats.errors.Error:
        return None
    finally:
        await client.close()
    return None


async def publish(url: str, subject: str, event: Event) -> None:
    """Put the event into its stream once more, so that the stream takes it for a new message."""
    client = await nats.connect(url, allow_reconnect=False)
    try:
        headers = {name: value for name, value in event.headers.items() if name.startswith("ce-")}
        await client.jetstream().publish(subject, event.body.encode(), headers=headers)
    finally:
        await client.close()


async def srv(port: int, name: str) -> list[int]:
    """The ports that Consul's DNS tells for a name. Raises OSError, dns.exception.DNSException."""
    answer = await dns.asyncquery.udp(dns.message.make_query(name, "SRV"), "127.0.0.1", port=port, timeout=5)
    return [item.port for found in answer.answer if found.rdtype == dns.rdatatype.SRV for item in found]
