"""A receiver of webhooks as a process of its own, which stores each event in a file before it answers:
``python -m tests.integration.outbox.brokers.http_receiver PORT TLS_PORT CERTIFICATE KEY FILE AUTHORIZATION``."""

import asyncio
import base64
import json
import ssl
import sys
from pathlib import Path
from typing import TextIO

from aiohttp import web

REFUSED = "orders.refused"


class Receiver:
    """Takes everything but what has the type ``REFUSED``."""

    def __init__(self, file: TextIO, authorization: str) -> None:
        self._file = file
        self._authorization = authorization

    async def take(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != self._authorization:
            return web.Response(status=401)
        if request.method == "OPTIONS":
            return web.Response(status=204)
        body = await request.read()
        if request.headers.get("ce-type") == REFUSED:
            return web.Response(status=422, text="no: " + body.decode(errors="replace"))
        line = {
            "place": request.path.strip("/"),
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": base64.b64encode(body).decode(),
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        return web.Response(status=204)


async def main(port: str, tls_port: str, certificate: str, key: str, file: str, authorization: str) -> None:
    app = web.Application(client_max_size=32 * 1048576)
    with Path(file).open("a") as stored:
        app.router.add_route("*", "/{place}", Receiver(stored, authorization).take)
        runner = web.AppRunner(app)
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        await web.TCPSite(runner, "127.0.0.1", int(tls_port), ssl_context=context).start()
        await web.TCPSite(runner, "127.0.0.1", int(port)).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
